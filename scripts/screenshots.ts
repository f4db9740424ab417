/**
 * Takes docs/screenshots and the picture that a shared link shows: `node scripts/screenshots.ts`. The first screen as it is once the
 * recordings have played, without a hand on it.
 */
import { mkdirSync } from "node:fs";
import { chromium } from "playwright";
import { serveBuilt } from "../test/browser/browser.ts";
import { launchOptions } from "../test/browser/chromium.ts";

const root = new URL("..", import.meta.url).pathname;
const SHOTS = [
  ...["light", "dark"].flatMap((scheme) =>
    [
      [1440, 900],
      [768, 1024],
      [360, 800],
    ].map(([width, height]) => ({ path: `docs/screenshots/first-${width}-${scheme}.png`, scheme, width, height })),
  ),
  { path: "web/public/og.png", scheme: "light", width: 1200, height: 800 },
];

mkdirSync(`${root}web/public`, { recursive: true });
const site = await serveBuilt();
const browser = await chromium.launch(launchOptions());
for (const { path, scheme, width, height } of SHOTS) {
  const context = await browser.newContext({
    viewport: { width: width!, height: height! },
    colorScheme: scheme as "light" | "dark",
  });
  const page = await context.newPage();
  await page.goto(site.url);
  await page.locator("output[for=alpha]", { hasText: "0.40" }).waitFor({ timeout: 120_000 });
  await page.locator("#adapter.on").waitFor({ timeout: 120_000 });
  await page.locator(".side .chart svg").nth(2).waitFor();
  await page.waitForTimeout(1000);
  await page.screenshot({ path: `${root}${path}` });
  await context.close();
}
await browser.close();
site.close();
