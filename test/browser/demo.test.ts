import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Download, Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { QUICK, writeTinyAdapter, writeTinyModel } from "../helpers/model-folder.ts";
import { openTab, serveBuilt, type Site, type Tab } from "./browser.ts";
import { CHROMIUM } from "./chromium.ts";

const root = new URL("../..", import.meta.url).pathname;
const REASONER = join(root, "models/reasoner");

/** Sums of one step: short responses, so that a software adapter trains on them within a minute. */
const EASY = Array.from({ length: 40 }, (_, i) => ({
  problem: `${10 + i}+${1 + (i % 8)}=?`,
  answer: 11 + i + (i % 8),
}));

const ITERATIONS = 8;
const ALPHA = 0.4;

const status = (page: Page): Promise<string> => page.locator(".progress .status").innerText();

/** Waits for the status line to match, and gives it. */
async function statusOf(page: Page, pattern: RegExp, timeout = 180_000): Promise<string> {
  await page.locator(".progress .status", { hasText: pattern }).waitFor({ timeout });
  return status(page);
}

const iterationOf = (line: string): number => Number(/iteration (\d+)/.exec(line)![1]);

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

async function ready(page: Page): Promise<void> {
  await page.locator("#adapter.on, #adapter.off").waitFor({ timeout: 60_000 });
}

async function save(download: Download, dir: string): Promise<string> {
  const path = join(dir, download.suggestedFilename());
  await download.saveAs(path);
  return path;
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
      site = await serveBuilt();
      tab = await openTab(site);
      ({ page } = tab);
    });
    afterAll(async () => {
      await tab.context.close();
      site.close();
      rmSync(folder, { recursive: true });
    });

    test("opens under a path of a plain file host in at most 3 MB, with its policy in force and nothing from elsewhere", async () => {
      await page.goto(site.url);
      await ready(page);
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
        await page.getByRole("button", { name: "Answer", exact: true }).click();
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
      await page.getByRole("button", { name: "Answer", exact: true }).click();
      await page.locator(".answer.base .badge").waitFor({ timeout: 30_000 });
      expect(await problem.inputValue()).toBe("7+8=?");
      expect(await page.locator(".answer.base pre").innerText()).toMatch(/\\boxed\{15\}/);
      expect(await page.locator(".answer.base .badge").innerText()).toBe("✓ correct");
      expect(Number(await page.locator(".answer.base .count b").innerText())).toBeGreaterThan(5);
      expect(await longest).toBeLessThan(1000);
    });

    test("a file that is no task is refused in words, and a good one becomes the task", async () => {
      writeFileSync(join(folder, "bad.jsonl"), '{"problem": "1+1=?", "answer"\n');
      await page.locator("#problems").setInputFiles(join(folder, "bad.jsonl"));
      await page.locator("#own .error").waitFor();
      expect(await page.locator("#own .error").innerText()).toMatch(/bad\.jsonl.*line 1.*expected JSON/);

      writeFileSync(join(folder, "easy.jsonl"), EASY.map((row) => JSON.stringify(row)).join("\n"));
      await page.locator("#problems").setInputFiles(join(folder, "easy.jsonl"));
      await page.getByText("Task: easy.jsonl, 32 problems to train on, 8 held out").waitFor();
    });

    test(
      "trains at alpha 0.4, pauses, comes back after a reload, survives a lost device and one without memory, and finishes",
      { timeout: 480_000 },
      async () => {
        const slider = page.getByRole("slider", { name: "Alpha" });
        await slider.focus();
        await page.keyboard.press("Home");
        for (let i = 0; i < Math.round(ALPHA / 0.05); i++) await page.keyboard.press("ArrowRight");
        expect(await page.locator("output[for=alpha]").innerText()).toBe("0.40");
        await page.getByLabel("Iterations", { exact: true }).fill(String(ITERATIONS));
        await page.getByLabel("Prompts each", { exact: true }).fill("1");
        await page.getByRole("button", { name: "Start", exact: true }).click();
        // Responses stream as they are sampled.
        const stream = page.locator(".stream");
        await stream.locator("i").nth(7).waitFor({ state: "attached", timeout: 60_000 });
        expect(await stream.locator("code").textContent()).not.toBe("");
        await statusOf(page, /Training, iteration [1-9]/);
        // What is being read stands still, and keeps the focus, until one follows again.
        const row = page.locator(".response-row").nth(2);
        await row.click();
        const read = await page.locator("pre.response").innerText();
        await statusOf(page, /Training, iteration [2-9]/);
        expect(await page.locator("pre.response").innerText()).toBe(read);
        expect(await row.evaluate((element) => element === document.activeElement)).toBe(true);
        expect(await page.getByLabel("Follow training").isChecked()).toBe(false);
        expect(await page.title()).toMatch(new RegExp(`^\\d/${ITERATIONS} `));
        await page.getByRole("button", { name: "Pause" }).click();
        const paused = iterationOf(await statusOf(page, /Paused/));
        const before = await curve(page);
        expect(before.map(([iteration]) => iteration)).toEqual(Array.from({ length: paused }, (_, i) => i + 1));
        expect(await page.locator(".response-row:visible").count()).toBe(8);
        // The pinned problem was answered before the first iteration and after each, but for one that the pause cut off.
        const film = page.getByRole("slider", { name: "Along training" });
        const frames = Number(await film.getAttribute("max"));
        expect([paused, paused - 1]).toContain(frames);
        await film.fill("0");
        expect(await film.getAttribute("aria-valuetext")).toMatch(/^untrained: \d+ tokens/);
        await film.fill(String(frames));

        await page.reload();
        await ready(page);
        expect(iterationOf(await statusOf(page, /Paused/))).toBe(paused);
        expect(await curve(page)).toEqual(before);
        await page.getByText("A run is waiting.").waitFor();
        expect(await page.getByLabel("Iterations", { exact: true }).inputValue()).toBe(String(ITERATIONS));
        expect(await page.getByLabel("Prompts each", { exact: true }).inputValue()).toBe("1");

        await page.getByRole("button", { name: "Resume" }).click();
        await page.getByText("A run is waiting.").waitFor({ state: "detached" });
        await statusOf(page, new RegExp(`Training, iteration [${paused + 1}-9]`));
        await page.waitForTimeout(500);
        const lostAt = iterationOf(await status(page));
        const [worker] = page.workers();
        await worker!.evaluate(() => (globalThis as unknown as { devices: GPUDevice[] }).devices.at(-1)!.destroy());
        await page.getByText("The GPU is back.").waitFor();
        expect(iterationOf(await statusOf(page, /Training/))).toBeGreaterThanOrEqual(lostAt - 1);

        // The device has no memory for a buffer, and none for another when everything is made anew.
        await statusOf(page, new RegExp(`Training, iteration [${lostAt + 1}-9]`));
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

        await page.getByRole("slider", { name: "Alpha" }).press("ArrowRight");
        changedAt = iterationOf(await status(page));

        await statusOf(page, /Finished/, 150_000);
        expect(await page.getByRole("slider", { name: "Along training" }).getAttribute("max")).toBe(String(ITERATIONS));
        const after = await curve(page);
        expect(after.map(([iteration]) => iteration)).toEqual(Array.from({ length: ITERATIONS }, (_, i) => i + 1));
        expect(after.slice(0, paused)).toEqual(before);
        expect(tab.troubles.splice(0)).toEqual([]);
      },
    );

    test(
      "exports the run; `pith generate` answers with the exported model as the page does",
      { timeout: 60_000 },
      async () => {
        const [download] = await Promise.all([
          page.waitForEvent("download"),
          page.getByRole("button", { name: /^Export/ }).click(),
        ]);
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
        await page.getByRole("button", { name: "Answer", exact: true }).click();
        await page.locator(".answer.trained .badge").first().waitFor({ timeout: 30_000 });
        const there = await page.locator(".answer.trained pre").innerText();
        const here = execFileSync(
          process.execPath,
          [
            "--import",
            "./scripts/wgsl-hook.js",
            "src/cli/main.ts",
            "generate",
            join(dir, "model"),
            "--chat",
            "--prompt",
            "37+8=?",
          ].concat(["--temperature", "0"]),
          { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
        );
        expect(there).toContain("\\boxed{");
        expect(here.trim()).toBe(there.trim());

        // Where it was deleted it is taken in again.
        await page.getByRole("button", { name: /^Delete/ }).click();
        await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
        await page.getByText("None yet.").waitFor();
        await page.locator("#import").setInputFiles(join(folder, download.suggestedFilename()));
        await page.getByRole("button", { name: /^Open/ }).waitFor();
      },
    );

    test("a sweep trains at one alpha after the other, until it is reset", { timeout: 120_000 }, async () => {
      await page.getByLabel("Iterations", { exact: true }).fill("1");
      await page.getByLabel("Prompts each", { exact: true }).fill("1");
      await page.getByRole("button", { name: "Sweep" }).click();
      await page.getByText("then alpha 0.1, 0.2, 0.4").waitFor();
      await page.getByText("then alpha 0.4").waitFor({ timeout: 110_000 });
      await page.getByRole("button", { name: "Reset" }).click();
      await expect
        .poll(() => page.locator(".runs td[data-label=Alpha]").allInnerTexts())
        .toEqual(["to 0.45", "0.05", "0.10"]);
      // Another model is chosen: the answer of the one before goes.
      await page.getByRole("button", { name: "Answer", exact: true }).click();
      await page.locator(".answer.trained .badge").first().waitFor({ timeout: 30_000 });
      await page.locator("#trained").selectOption({ index: 1 });
      expect(await page.locator(".answer.trained .badge").count()).toBe(0);
      expect(await page.locator(".answer.trained pre").innerText()).toBe("Its answer appears here.");
    });

    const generate = async (prompt: string) => {
      await page.locator("#own-prompt").fill(prompt);
      await page.getByRole("button", { name: "Generate" }).click();
      await page.getByText(/tokens, .* a second/).waitFor({ timeout: 30_000 });
    };

    test("a model's folder is checked and generates; a bad one is refused in words", async () => {
      const answer = page.locator("#own .error");
      const bad = (name: string, change: (dir: string) => void) => {
        const dir = join(folder, name);
        cpSync(REASONER, dir, { recursive: true });
        change(dir);
        return dir;
      };
      const cut = bad("cut", (dir) => {
        const path = join(dir, "model.safetensors");
        writeFileSync(path, readFileSync(path).subarray(0, 100_000));
      });
      await page.locator("#folder").setInputFiles(cut);
      await answer.waitFor();
      expect(await answer.innerText()).toMatch(/model\.safetensors.*cut short/);

      const huge = bad("huge", (dir) => {
        const config = JSON.parse(readFileSync(join(dir, "config.json"), "utf8")) as object;
        writeFileSync(
          join(dir, "config.json"),
          JSON.stringify({ ...config, vocab_size: 2 ** 24, hidden_size: 2 ** 14 }),
        );
      });
      await page.locator("#folder").setInputFiles(huge);
      await page.locator("#own .error", { hasText: "this adapter's limit" }).waitFor();

      await page.locator("#folder").setInputFiles(REASONER);
      await page.getByText(/reasoner is ready: qwen2, 2\d\d,\d+ parameters/).waitFor({ timeout: 30_000 });
      await generate("12+3=?");
      expect(await page.locator("#own pre.output").innerText()).toMatch(/\\boxed\{15\}/);
      await page.getByText(/reasoner is ready: /).waitFor(); // no late progress takes its place
    });

    test("a dropped model trains two iterations; its export is read again, and so is an adapter", async () => {
      const tiny = join(folder, "tiny");
      await writeTinyModel(nodeFiles, tiny, { ...QUICK, num_hidden_layers: 1 });
      await page.locator("#folder").setInputFiles(tiny);
      await page.getByText("It trains here, all of its weights: about").waitFor({ timeout: 30_000 });
      await page.getByRole("button", { name: "Train it" }).click();
      await page.getByText("Start trains tiny.").waitFor();
      await page.getByText(/^The first, as tiny reads it, in \d+ tokens$/).waitFor();
      await page.getByText("Start trains tiny, which is yours.").waitFor();
      await page.getByLabel("Iterations", { exact: true }).fill("2");
      await page.getByRole("button", { name: "Start", exact: true }).click();
      await statusOf(page, /Finished, iteration 2 of 2/);
      const row = page.locator(".runs tbody tr", { hasText: "tiny, easy.jsonl" });
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        row.getByRole("button", { name: /^Export/ }).click(),
      ]);
      const dir = join(folder, "own");
      mkdirSync(dir);
      execFileSync("tar", ["xzf", await save(download, folder), "-C", dir]);
      await page.getByRole("button", { name: "Back to the bundled reasoner" }).click();
      await page.getByText("Start trains tiny.").waitFor({ state: "hidden" });

      await page.locator("#folder").setInputFiles(join(dir, "model"));
      await page.getByText(/^model is ready: qwen2, /).waitFor({ timeout: 30_000 });
      await generate("1+1=?");
      await writeTinyAdapter(nodeFiles, join(folder, "adapter"), tiny);
      await page.locator("#folder").setInputFiles(join(folder, "adapter"));
      await page.getByText(/^adapter is ready: qwen2, /).waitFor({ timeout: 30_000 });
      await page.getByText("It does not train here: it is an adapter").waitFor();
      await generate("1+1=?");
      expect(tab.troubles.splice(0)).toEqual([]);
    });

    test("the benchmark measures every case, and gpu.js computes the same", { timeout: 120_000 }, async () => {
      await page.getByRole("button", { name: "Run the benchmark" }).click();
      const agreement = page.getByText(/All results agree to within/);
      await agreement.waitFor({ timeout: 100_000 });
      expect(Number(/within (\S+) of/.exec(await agreement.innerText())![1])).toBeLessThan(5e-5);
      const speeds = await page.locator(".bench tbody td b").allTextContents();
      expect(speeds.length).toBe(18); // two operations, three sizes, three peers
      expect(Math.min(...speeds.map(Number))).toBeGreaterThan(0);
    });
  },
);
