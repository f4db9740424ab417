import { fileURLToPath } from "node:url";

/** The path of what Pith ships, in a checkout and in an installed package alike. */
export const shipped = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
