import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packFolder } from "../../web/session/archive.ts";
import { keptRun } from "../web/kept-run.ts";
import { drawn, openTab, serveBuilt, type Site, type Tab } from "./browser.ts";
import { CHROMIUM } from "./chromium.ts";

describe.skipIf(!CHROMIUM)(
  "what is kept, in a Chromium without WebGPU [skipped where no Chromium is found; PITH_CHROMIUM names one]",
  { timeout: 60_000 },
  () => {
    let site: Site;
    let tab: Tab;
    let page: Page;
    let folder: string;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "pith-kept-"));
      site = await serveBuilt();
      tab = await openTab(site, { gpu: false });
      ({ page } = tab);
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.goto(site.url);
      await drawn(page);
    });
    afterAll(async () => {
      await tab.context.close();
      site.close();
      rmSync(folder, { recursive: true });
    });

    test("an exported run is taken in, opened, renamed with the focus kept, and gone once deleted", async () => {
      const archive = join(folder, "run.tar.gz");
      writeFileSync(archive, Buffer.from(await (await packFolder(await keptRun(), "runs/abc")).arrayBuffer()));
      await page.locator("#import").setInputFiles(archive);
      await page.getByRole("button", { name: "Open first on the stage" }).click();
      await page.getByText("Your run “first”.").waitFor();
      expect(await page.locator(".reply.after .figure").innerText()).toBe("2");
      const lines = page.locator(".side .chart").nth(1).locator('[data-mark="line"]');
      await expect.poll(() => lines.count()).toBe(3); // the recording's is a ghost behind it
      // A point of the trade-off opens the run that it stands for.
      await page.getByRole("button", { name: "Back" }).click();
      const plot = page.locator(".tradeoff .plot").first();
      await plot.focus();
      const read = page.locator(".tradeoff .chart").first().locator("[aria-live]");
      for (let i = 0; i < 20 && !(await read.innerText()).startsWith("your runs"); i++)
        await page.keyboard.press("ArrowLeft");
      await page.keyboard.press("Enter");
      await page.getByText("Your run “first”.").waitFor();
      await page.getByRole("heading", { name: "Kept runs" }).waitFor();
      await page.setViewportSize({ width: 360, height: 800 });
      const table = page.locator(".runs table");
      expect(await table.evaluate((element) => element.getBoundingClientRect().right)).toBeLessThanOrEqual(360);
      await page.setViewportSize({ width: 1280, height: 800 });
      const points = page.locator(".tradeoff .chart").first().locator("tbody tr");
      await page.locator(".tradeoff summary").first().click();
      await points.filter({ hasText: "your runs" }).waitFor();
      await points.filter({ hasText: "recorded" }).nth(4).waitFor();
      const drawing = page.locator(".tradeoff .drawing").first();
      expect(await drawing.locator("text", { hasText: /^front$/ }).count()).toBe(1);
      expect(await drawing.locator('[data-mark="rule"]').count()).toBeGreaterThanOrEqual(4); // intervals, both ways
      const difficulty = page.locator(".tradeoff .chart").last();
      await difficulty.locator("summary").click();
      await difficulty.locator("thead", { hasText: "untrained" }).waitFor();
      await difficulty.locator("tbody tr").nth(4).waitFor(); // sums of one step to five
      for (const [label, name] of [
        ["Untrained, cut off", "cut off"],
        ["SFT and DPO", "SFT"],
        ["The paper’s models", "paper"],
      ] as const) {
        await page.getByLabel(label).check();
        await points.filter({ hasText: name }).first().waitFor();
      }
      const name = page.getByLabel("Name of the run: first");
      await name.fill("my first");
      await name.press("Enter");
      const renamed = page.getByLabel("Name of the run: my first");
      await renamed.waitFor();
      expect(await renamed.evaluate((element) => element === document.activeElement)).toBe(true);
      await page.reload();
      await drawn(page);
      await renamed.waitFor();
      // It outlives the site's storage in its file.
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "Export my first" }).click(),
      ]);
      await download.saveAs(archive);
      await page.goto("about:blank");
      const devtools = await tab.context.newCDPSession(page);
      await devtools.send("Storage.clearDataForOrigin", { origin: new URL(site.url).origin, storageTypes: "all" });
      await page.goto(site.url);
      await drawn(page);
      await page.getByText("None yet.").waitFor();
      await page.locator("#import").setInputFiles(archive);
      await renamed.waitFor();
      await page.getByRole("button", { name: "Delete my first" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await page.getByText("None yet.").waitFor();
      writeFileSync(archive, "no run");
      await page.locator("#import").setInputFiles(archive);
      const refused = page.locator('.notice[data-kind="failed"]', {
        hasText: "expected a run that this page exported",
      });
      await refused.waitFor();
      // Where the visitor is, not where the page begins.
      const { y, height } = (await refused.boundingBox())!;
      expect([y >= 0, y + height <= 800]).toEqual([true, true]);
    });

    test("a disk that is full at whichever write: the page says so, goes on in memory, and opens well next time", async () => {
      const archive = join(folder, "again.tar.gz");
      writeFileSync(archive, Buffer.from(await (await packFolder(await keptRun(), "runs/abc")).arrayBuffer()));
      for (const room of [0, 3, 7]) {
        const [worker] = page.workers();
        await worker!.evaluate((most) => {
          const { write } = FileSystemWritableFileStream.prototype;
          let left = most;
          FileSystemWritableFileStream.prototype.write = async function (chunk) {
            if (left-- <= 0) throw new DOMException("full", "QuotaExceededError");
            await write.call(this, chunk);
          };
        }, room);
        await page.locator("#import").setInputFiles(archive);
        await page.locator('.notice[data-kind="not-saved"]').waitFor();
        await page.getByLabel("Name of the run: first").last().waitFor();
        await page.reload();
        await drawn(page);
        await page.getByText("Task: arithmetic").waitFor();
        expect(await page.locator('.notice[data-kind="unreadable"]').count(), `room for ${room}`).toBe(0);
      }
    });

    test("a stored file that is empty or cut costs itself, not the page", async () => {
      await page.evaluate(async () => {
        const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("pith", { create: true });
        for (const [path, content] of [
          ["runs/x/run.json", ""],
          ["runs/y/run.json", '{"id": "y", "na'],
          ["problems/mine.jsonl", ""],
        ] as const) {
          const parts = path.split("/");
          let at = root;
          for (const part of parts.slice(0, -1)) at = await at.getDirectoryHandle(part, { create: true });
          const writable = await (await at.getFileHandle(parts.at(-1)!, { create: true })).createWritable();
          await writable.write(content);
          await writable.close();
        }
      });
      await page.reload();
      await page.locator('.notice[data-kind="unreadable"]').waitFor();
      await drawn(page);
      await page.getByText("Task: arithmetic").waitFor();
      await page.locator('.notice[data-kind="unreadable"] button').click();
    });
  },
);
