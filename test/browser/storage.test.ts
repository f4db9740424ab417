import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { BlobFiles } from "../../web/storage.ts";
import { CHROMIUM } from "./browser.ts";
import { filesScenario } from "./files-scenario.ts";

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
  "the browser's private file system does too, and finishes a rename that was cut off [skipped where no Chromium is found]",
  { timeout: 60_000 },
  async () => {
    await build({
      configFile: false,
      logLevel: "warn",
      build: {
        outDir: folder,
        minify: false, // the errors keep their names
        emptyOutDir: false,
        lib: { entry: new URL("./files-worker.ts", import.meta.url).pathname, formats: ["es"], fileName: "worker" },
      },
    });
    const script = readFileSync(join(folder, "worker.js"));
    const server = createServer(({ url }, response) => {
      response.setHeader("content-type", url === "/worker.js" ? "text/javascript" : "text/html");
      response.end(url === "/worker.js" ? script : "<!doctype html>");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const browser = await chromium.launch({ executablePath: CHROMIUM!, chromiumSandbox: false });
    try {
      const page = await browser.newPage();
      await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
      const result = await page.evaluate(
        () =>
          new Promise((resolve, reject) => {
            const worker = new Worker("/worker.js", { type: "module" });
            worker.addEventListener("message", ({ data }) => resolve(data));
            worker.addEventListener("error", ({ message }) => reject(new Error(message)));
          }),
      );
      expect(result).toEqual({
        seen: await filesScenario(nodeFiles, join(folder, "disk")),
        finished: [["step"], ["model", "state"], "weights"],
        untouched: ["other", "step"],
        journal: false,
      });
    } finally {
      await browser.close();
      server.close();
    }
  },
);
