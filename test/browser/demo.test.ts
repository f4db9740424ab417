import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { QUICK, writeTinyModel } from "../helpers/model-folder.ts";
import { expectAccessible } from "./axe.ts";
import { openTab, serveBuilt, type Site, type Tab } from "./browser.ts";
import { CHROMIUM } from "./chromium.ts";
import { choose, dropEasySums, iterationOf, opened, press, save, statusOf } from "./training.ts";

const root = new URL("../..", import.meta.url).pathname;
const REASONER = join(root, "models/reasoner");

const ITERATIONS = 3;
/** Of a run that much happens to. */
const LONG = 12;
const ALPHA = 0.4;

/** The table of the curve of mean tokens: iteration, mean tokens. */
async function curve(page: Page): Promise<number[][]> {
  const chart = page.locator(".side .chart").nth(1);
  if (!(await chart.locator("details").evaluate((details: HTMLDetailsElement) => details.open)))
    await chart.locator("summary").press("Enter");
  await chart.locator("tbody tr").first().waitFor();
  const rows = await chart.locator("tbody tr").all();
  return Promise.all(
    rows.map(async (row) => (await row.locator("th, td").allTextContents()).map((text) => parseFloat(text))),
  );
}

/** Watches for elements that move by themselves; says which did since. */
async function watchMoves(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const moved: string[] = [];
    Object.assign(window, { moved });
    new PerformanceObserver((list) => {
      for (const { sources } of list.getEntries() as LayoutShift[])
        for (const { node } of sources) moved.push(node instanceof Element ? node.className : String(node));
    }).observe({ type: "layout-shift" });
  });
  return () => page.evaluate(() => (window as unknown as { moved: string[] }).moved);
}

/** What browsers record where elements move. */
interface LayoutShift extends PerformanceEntry {
  sources: { node: Node | null }[];
}

describe.skipIf(!CHROMIUM)(
  "the demo page in Chromium [skipped where no Chromium is found; PITH_CHROMIUM names one]",
  () => {
    let site: Site;
    let tab: Tab;
    let page: Page;
    let folder: string;
    /** Iterations done when alpha was changed. */
    let changedAt: number;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "pith-demo-"));
      await writeTinyModel(nodeFiles, join(folder, "tiny"), { ...QUICK, num_hidden_layers: 1 });
      site = await serveBuilt();
      tab = await openTab(site);
      ({ page } = tab);
    });
    afterAll(async () => {
      await tab.context.close();
      site.close();
      rmSync(folder, { recursive: true });
    });

    /** Makes a tiny model the one that Start trains. */
    const trainTiny = async () => {
      await page.locator("#folder").setInputFiles(join(folder, "tiny"));
      await page.getByText(/^tiny is ready/).waitFor();
      await press(page, "Train it");
      await page.getByText("Start trains tiny.").waitFor();
    };

    test("opens under a path of a plain file host in at most 3 MB, with its policy in force and nothing from elsewhere", async () => {
      await page.goto(site.url);
      await opened(page);
      const { pathname } = new URL(page.url());
      expect(pathname).toBe("/pith/");
      expect(await page.locator("#adapter").innerText()).toContain("WebGPU on");
      const bytes = site.requests.reduce((sum, { compressedBytes }) => sum + compressedBytes, 0);
      expect(bytes).toBeGreaterThan(300_000); // the model is in it
      expect(bytes).toBeLessThanOrEqual(3_000_000);
      // An inline script and an inline style of the page's own making do nothing.
      const allowed = await page.evaluate(() => {
        const script = document.createElement("script");
        script.textContent = "globalThis.injected = true";
        document.body.append(script);
        const box = document.createElement("div");
        box.innerHTML = '<p style="position: fixed">x</p>';
        document.body.append(box);
        const inline = getComputedStyle(box.firstElementChild!).position;
        script.remove();
        box.remove();
        return { script: "injected" in globalThis, style: inline === "fixed" };
      });
      expect(allowed).toEqual({ script: false, style: false });
      expect(tab.troubles.splice(0).filter((trouble) => !trouble.includes("Content Security Policy"))).toEqual([]);
    });

    test("the base model answers, and the page does not block", async () => {
      const problem = page.getByLabel("Problem", { exact: true });
      for (const none of ["", "If Ann has 3 apples, how many has she?"]) {
        await problem.fill(none);
        await press(page, "Answer");
        await page.getByText("This model was taught sums alone").waitFor();
      }
      await problem.fill("7 + 8 = ?");
      // The longest time between two frames while the answer streams, in milliseconds.
      const longest = page.evaluate(async () => {
        let last = performance.now();
        let gap = 0;
        while (!document.querySelector(".answer.base .badge")) {
          await new Promise((resolve) => setTimeout(resolve));
          gap = Math.max(gap, performance.now() - last);
          last = performance.now();
        }
        return gap;
      });
      await press(page, "Answer");
      await page.locator(".answer.base .badge").waitFor({ timeout: 30_000 });
      expect(await problem.inputValue()).toBe("7+8=?");
      expect(await page.locator(".answer.base pre").innerText()).toMatch(/\\boxed\{15\}/);
      expect(await page.locator(".answer.base .badge").innerText()).toBe("✓ correct");
      expect(Number(await page.locator(".answer.base .count b").innerText())).toBeGreaterThan(5);
      expect(await longest).toBeLessThan(1000);
    });

    test(
      "trains at alpha 0.4; what is being read stands still, and alpha may change",
      { timeout: 150_000 },
      async () => {
        await dropEasySums(page, folder);
        const slider = page.getByRole("slider", { name: "Alpha" });
        await slider.focus();
        await page.keyboard.press("Home");
        for (let i = 0; i < Math.round(ALPHA / 0.05); i++) await page.keyboard.press("ArrowRight");
        expect(await page.locator("output[for=alpha]").innerText()).toBe("0.40");
        await choose(page, ITERATIONS);
        await press(page, "Start");
        // Responses stream as they are sampled.
        const stream = page.locator(".stream");
        await stream.locator("i").nth(7).waitFor({ state: "attached", timeout: 60_000 });
        expect(await stream.locator("code").textContent()).not.toBe("");
        await statusOf(page, /Training, iteration [1-9]/);
        // What is being read stands still, and keeps the focus, until one follows again; so does what the pointer reads of a curve.
        const row = page.locator(".response-row").nth(2);
        await row.press("Enter");
        const read = await page.locator("pre.response").innerText();
        const tokens = page.locator(".side .chart").nth(1);
        await tokens.locator(".plot").hover();
        await tokens
          .locator(".reading > rect")
          .first()
          .hover({ position: { x: 2, y: 20 } });
        const readOut = () => tokens.locator(".read-out:visible text").allTextContents();
        await expect.poll(readOut).toContain("iteration 1");
        const values = await readOut();
        await statusOf(page, /Training, iteration [2-9]/);
        expect(await readOut()).toEqual(values);
        expect(await page.locator("pre.response").innerText()).toBe(read);
        expect(await row.evaluate((element) => element === document.activeElement)).toBe(true);
        expect(await page.getByLabel("Follow training").isChecked()).toBe(false);
        expect(await page.title()).toMatch(new RegExp(`^\\d/${ITERATIONS} `));
        await slider.press("ArrowRight");
        changedAt = iterationOf(await statusOf(page, /iteration/));
        await expectAccessible(page, "while it trains");
        await statusOf(page, /Finished/);
        expect(await curve(page)).toHaveLength(ITERATIONS);
        // The pinned problem was answered before the first iteration and after each.
        const film = page.getByRole("slider", { name: "Along training" });
        expect(await film.getAttribute("max")).toBe(String(ITERATIONS));
        await film.fill("0");
        expect(await film.getAttribute("aria-valuetext")).toMatch(/^untrained: \d+ tokens/);
        await film.fill(String(ITERATIONS));
        expect(await film.getAttribute("aria-valuetext")).toMatch(
          new RegExp(`^after iteration ${ITERATIONS}: \\d+ tokens`),
        );
      },
    );

    test(
      "exports the run; `pith generate` answers with the exported model as the page does",
      { timeout: 60_000 },
      async () => {
        const [download] = await Promise.all([page.waitForEvent("download"), press(page, /^Export/)]);
        const dir = join(folder, "exported");
        mkdirSync(dir);
        execFileSync("tar", ["xzf", await save(download, folder), "-C", dir]);
        const run = JSON.parse(readFileSync(join(dir, "run.json"), "utf8")) as { scores: { mean_length: number } };
        expect(run.scores.mean_length).toBeGreaterThan(5);
        const rows = readFileSync(join(dir, "metrics.jsonl"), "utf8").trim().split("\n");
        const alphas = rows.map((row) => (JSON.parse(row) as { alpha: number }).alpha);
        expect(alphas.slice(0, changedAt)).toEqual(Array.from({ length: changedAt }, () => ALPHA));
        expect([alphas.length, alphas.at(-1)]).toEqual([ITERATIONS, 0.45]);
        expect(readFileSync(join(dir, "model/model.safetensors"))).not.toEqual(
          readFileSync(join(REASONER, "model.safetensors")),
        );

        await page.getByLabel("Problem", { exact: true }).fill("37+8=?");
        await press(page, "Answer");
        await page.locator(".answer.trained .badge").first().waitFor({ timeout: 30_000 });
        const there = await page.locator(".answer.trained pre").innerText();
        const here = execFileSync(
          process.execPath,
          ["--import", "./scripts/wgsl-hook.js", "src/cli/main.ts", "generate", join(dir, "model"), "--chat"].concat(
            ["--prompt", "37+8=?"],
            ["--temperature", "0"],
          ),
          { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
        );
        expect(there).toContain("\\boxed{");
        expect(here.trim()).toBe(there.trim());

        // Where it was deleted it is taken in again.
        await press(page, /^Delete/);
        await expectAccessible(page, "before something is deleted");
        await page.getByRole("dialog").getByRole("button", { name: "Delete" }).press("Enter");
        await page.getByText("None yet.").waitFor();
        await page.locator("#import").setInputFiles(join(folder, download.suggestedFilename()));
        await page.getByRole("button", { name: /^Open/ }).waitFor();
      },
    );

    test("a run pauses, comes back after a reload, survives a lost device and one without memory, and finishes", async () => {
      await trainTiny();
      await choose(page, LONG);
      await press(page, "Start");
      await statusOf(page, /Training, iteration [2-9]/);
      await press(page, "Pause");
      const paused = iterationOf(await statusOf(page, /Paused/));
      const before = await curve(page);
      expect(before.map(([iteration]) => iteration)).toEqual(Array.from({ length: paused }, (_, i) => i + 1));
      expect(await page.locator(".response-row:visible").count()).toBe(8);
      // But for one answer to the pinned problem that the pause cut off.
      const frames = Number(await page.getByRole("slider", { name: "Along training" }).getAttribute("max"));
      expect([paused, paused - 1]).toContain(frames);

      await page.reload();
      await opened(page);
      expect(iterationOf(await statusOf(page, /Paused/))).toBe(paused);
      expect(await curve(page)).toEqual(before);
      await page.getByText("A run is waiting.").waitFor();
      expect(await page.getByLabel("Iterations", { exact: true }).inputValue()).toBe(String(LONG));
      expect(await page.getByLabel("Prompts each", { exact: true }).inputValue()).toBe("1");
      await expectAccessible(page, "while a run waits");

      const beyond = (iteration: number) =>
        expect
          .poll(async () => iterationOf(await statusOf(page, /Training, iteration/)), { timeout: 30_000 })
          .toBeGreaterThan(iteration);
      await press(page, "Resume");
      await page.getByText("A run is waiting.").waitFor({ state: "detached" });
      await beyond(paused);
      const [worker] = page.workers();
      await worker!.evaluate(() => (globalThis as unknown as { devices: GPUDevice[] }).devices.at(-1)!.destroy());
      const lostAt = iterationOf(await statusOf(page, /iteration/));
      await page.getByText("The GPU is back.").waitFor();
      expect(iterationOf(await statusOf(page, /Training/))).toBeGreaterThanOrEqual(lostAt - 1);

      // The device has no memory for a buffer, and none for another when everything is made anew.
      await beyond(lostAt);
      await worker!.evaluate(() => {
        const device = (globalThis as unknown as { devices: GPUDevice[] }).devices.at(-1)!;
        const createBuffer = device.createBuffer.bind(device);
        let made = 0;
        device.createBuffer = (descriptor) => {
          const fails = made === 0 || made === 20;
          made++;
          return createBuffer(fails ? { ...descriptor, size: device.limits.maxBufferSize } : descriptor);
        };
      });
      await page.getByText("The GPU ran out of memory.").waitFor();

      // What is drawn anew in each iteration moves nothing else.
      await statusOf(page, /Training, iteration/);
      const moved = await watchMoves(page);
      await statusOf(page, new RegExp(`Training, iteration ${LONG - 1}`));
      // A longer answer takes room of the filmstrip in its card.
      expect((await moved()).filter((name) => name !== "film")).toEqual([]);

      await statusOf(page, /Finished/);
      const after = await curve(page);
      expect(after.map(([iteration]) => iteration)).toEqual(Array.from({ length: LONG }, (_, i) => i + 1));
      expect(after.slice(0, paused)).toEqual(before);
      expect(tab.troubles.splice(0)).toEqual([]);
    });

    test("a sweep trains at one alpha after the other, until it is reset", { timeout: 90_000 }, async () => {
      await trainTiny();
      await choose(page, 1);
      await press(page, "Sweep");
      await page.getByText("then alpha 0.1, 0.2, 0.4").waitFor();
      await page.getByText("then alpha 0.4").waitFor({ timeout: 80_000 });
      await press(page, "Reset");
      await expect
        .poll(() => page.locator(".runs td[data-label=Alpha]").allInnerTexts())
        .toEqual(["to 0.45", "0.45", "0.05", "0.10"]);
      await page.getByRole("button", { name: "Start", exact: true }).waitFor({ timeout: 30_000 }); // an update is finished first
      // Another model is chosen: the answer of the one before goes.
      await press(page, "Answer");
      await page.locator(".answer.trained .badge").first().waitFor({ timeout: 30_000 });
      await page.locator("#trained").selectOption({ index: 1 });
      expect(await page.locator(".answer.trained .badge").count()).toBe(0);
      expect(await page.locator(".answer.trained pre").innerText()).toBe("Its answer appears here.");
    });

    test("the benchmark measures every case, and gpu.js computes the same", { timeout: 240_000 }, async () => {
      const begun = page.waitForEvent("worker");
      await press(page, "Run the benchmark");
      // It may build code, and speak with nobody.
      const tried = await (
        await begun
      ).evaluate(
        () =>
          new Promise((resolve) => {
            setTimeout(() => {
              const built = new Function("return 1")() as number;
              fetch("https://example.com/").then(
                () => resolve([built, "fetched"]),
                (error: Error) => resolve([built, error.name]),
              );
            });
          }),
      );
      expect(tried).toEqual([1, "TypeError"]);
      expect(tab.troubles.splice(0).filter((trouble) => /request to/.test(trouble))).toEqual([]);
      const agreement = page.getByText(/All results agree to within/);
      await agreement.waitFor({ timeout: 110_000 });
      expect(Number(/within (\S+) of/.exec(await agreement.innerText())![1])).toBeLessThan(5e-5);
      const speeds = await page.locator(".bench tbody td b").allTextContents();
      expect(speeds.length).toBe(18); // two operations, three sizes, three peers
      expect(Math.min(...speeds.map(Number))).toBeGreaterThan(0);
      await expectAccessible(page, "measured");
    });
  },
);
