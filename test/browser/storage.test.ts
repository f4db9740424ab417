import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { BlobFiles } from "../../web/storage/blob-files.ts";
import { CHROMIUM } from "./chromium.ts";
import { filesScenario } from "./files-scenario.ts";
import { runInWorker } from "./worker.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pith-files-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("files in memory do what files on the disk do", async () => {
  const expected = await filesScenario(nodeFiles, join(folder, "disk"));
  expect(expected).toContain("FormatError");
  expect(await filesScenario(new BlobFiles(), "dir")).toEqual(expected);
});

test.skipIf(!CHROMIUM)(
  "the browser's private file system does too, finishes a rename that was cut off, and keeps a file that it has no room to replace [skipped where no Chromium is found]",
  { timeout: 60_000 },
  async () => {
    expect(await runInWorker("files-worker.ts")).toEqual({
      seen: await filesScenario(nodeFiles, join(folder, "disk")),
      finished: [["step"], ["model", "state"], "weights"],
      full: {
        errors: ["old", "new"].map(
          (name) =>
            `cannot write full/${name}: the browser's storage for this site is full: delete runs, or free space on the disk`,
        ),
        list: ["old"],
        old: "the old text",
      },
      untouched: ["other", "step"],
      journal: false,
      tables: [null, "a longer text", "short"],
    });
  },
);
