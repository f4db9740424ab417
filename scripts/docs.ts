/** Writes docs/configuration.md from the schema: `node scripts/docs.ts`. A test checks that it is current. */
import { writeFileSync } from "node:fs";
import { configurationDocs } from "../src/run/docs.ts";

writeFileSync(new URL("../docs/configuration.md", import.meta.url), configurationDocs());
