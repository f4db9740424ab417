import { parseChain, formatChain } from "../src/tasks/arithmetic-chains.ts";

/** A sum as the bundled reasoner was taught to read it, `7+8-5=?`, of what a person writes; null where it is none. */
export function normalSum(written: string): string | null {
  const chain = parseChain(
    written
      .replaceAll(/[\s\u00a0]/g, "")
      .replaceAll(/[−–—]/g, "-")
      .replaceAll("＋", "+"),
  );
  return chain && `${formatChain(chain)}=?`;
}
