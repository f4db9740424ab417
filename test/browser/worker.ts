import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright";
import { build } from "vite";
import { wgslText } from "../../vite.config.ts";
import { launchOptions } from "./chromium.ts";

/** Runs a script of this folder in a worker of a fresh Chromium, and gives the first message that it posts. */
export async function runInWorker(name: string): Promise<unknown> {
  const outDir = mkdtempSync(join(tmpdir(), "pith-worker-"));
  await build({
    configFile: false,
    logLevel: "warn",
    plugins: [wgslText],
    build: {
      outDir,
      emptyOutDir: true,
      target: "es2024",
      minify: false, // the errors keep their names
      lib: { entry: new URL(name, import.meta.url).pathname, formats: ["es"], fileName: "worker" },
    },
  });
  const script = readFileSync(join(outDir, "worker.js"));
  rmSync(outDir, { recursive: true });
  const server = createServer(({ url }, response) => {
    response.setHeader("content-type", url === "/worker.js" ? "text/javascript" : "text/html");
    response.end(url === "/worker.js" ? script : "<!doctype html>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await chromium.launch(launchOptions());
  try {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    return await page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const worker = new Worker("/worker.js", { type: "module" });
          worker.addEventListener("message", ({ data }) => resolve(data));
          worker.addEventListener("error", ({ message }) => reject(new Error(message)));
        }),
    );
  } finally {
    await browser.close();
    server.close();
  }
}
