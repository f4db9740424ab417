import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { chromium, type Page } from "playwright";
import { createServer } from "vite";
import { launchOptions } from "./chromium.ts";

const root = new URL("../..", import.meta.url).pathname;

/** charts-bench.ts in a page of its own, under the demo page's policy and with its styles. */
export async function openBench(): Promise<{ page: Page; close: () => Promise<void> }> {
  const server = await createServer({
    configFile: `${root}/vite.config.ts`,
    logLevel: "error",
    server: { port: 0, hmr: false },
  });
  await server.listen();
  const browser = await chromium.launch(launchOptions([]));
  const page = await browser.newPage({ viewport: { width: 800, height: 700 } });
  const url = `http://localhost:${(server.httpServer!.address() as AddressInfo).port}/`;
  const policy = /<meta\s+http-equiv="Content-Security-Policy"[^>]*>/.exec(
    readFileSync(`${root}/web/index.html`, "utf8"),
  )![0];
  const body = `<!doctype html><html lang="en"><head><title>Charts</title>${policy}<link rel="stylesheet" href="/style.css">
      <script type="module" src="/@fs${root}test/browser/charts-bench.ts"></script></head><body></body></html>`;
  await page.route(`${url}charts`, (route) => route.fulfill({ contentType: "text/html", body }));
  await page.goto(`${url}charts`);
  await page.waitForFunction(() => "bench" in globalThis);
  return {
    page,
    async close() {
      await browser.close();
      await server.close();
    },
  };
}
