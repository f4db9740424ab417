/**
 * Pictures of the top of a report, light and dark: `node scripts/picture.ts runs/start/report.html report` writes
 * docs/screenshots/report-light.png and report-dark.png, which README.md opens with. With a selector, of its first chart alone:
 * `node scripts/picture.ts docs/results/arena.html arena .chart`.
 */
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright";
import { launchOptions } from "../test/browser/chromium.ts";

const [report, name, selector] = process.argv.slice(2);
if (!report || !name) throw new Error("expected a report's path and the pictures' name");

const browser = await chromium.launch(launchOptions([]));
for (const colorScheme of ["light", "dark"] as const) {
  const page = await browser.newPage({
    colorScheme,
    viewport: { width: 1200, height: 690 },
    deviceScaleFactor: selector ? 2 : 1,
  });
  await page.goto(pathToFileURL(resolve(report)).href);
  const file = new URL(`../docs/screenshots/${name}-${colorScheme}.png`, import.meta.url);
  const path = fileURLToPath(file);
  await (selector ? page.locator(selector).first().screenshot({ path }) : page.screenshot({ path }));
}
await browser.close();
