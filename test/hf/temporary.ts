import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll } from "vitest";

/** A folder of this test file's own, removed after its last test. */
export function temporaryFolder(): string {
  const dir = mkdtempSync(`${tmpdir()}/pith-hf-`);
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
