import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { QUICK, writeTinyModel } from "../helpers/model-folder.ts";
import { expectAccessible } from "./axe.ts";
import { openTab, serveBuilt, type Site, type Tab } from "./browser.ts";
import { CHROMIUM } from "./chromium.ts";
import { choose, dropEasySums, opened, press, save, statusOf } from "./training.ts";

const root = new URL("../..", import.meta.url).pathname;
const REASONER = join(root, "models/reasoner");
const STORIES = join(root, "../shared/models/stories260k");

describe.skipIf(!CHROMIUM)(
  "what a visitor brings, in Chromium [skipped where no Chromium is found; PITH_CHROMIUM names one]",
  { timeout: 120_000 },
  () => {
    let site: Site;
    let tab: Tab;
    let page: Page;
    let folder: string;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "pith-own-"));
      site = await serveBuilt();
      tab = await openTab(site);
      ({ page } = tab);
      await page.goto(site.url);
      await opened(page);
    });
    afterAll(async () => {
      await tab.context.close();
      site.close();
      rmSync(folder, { recursive: true });
    });

    const generate = async (prompt: string) => {
      await page.locator("#own-prompt").fill(prompt);
      await press(page, "Generate");
      await page.getByText(/tokens, .* a second/).waitFor({ timeout: 30_000 });
    };
    const drop = (dir: string) => page.locator("#folder").setInputFiles(dir);
    const isReady = (name: string) =>
      page.getByText(new RegExp(`^${name} is ready: \\w+, [\\d,]+ parameters`)).waitFor({ timeout: 30_000 });

    /** Trains what was dropped for two iterations; the folder of the model that it exports. */
    const train = async (name: string) => {
      await press(page, "Train it");
      await page.getByText(`Start trains ${name}.`).waitFor();
      await page.getByText(new RegExp(`^The first, as ${name} reads it, in \\d+ tokens$`)).waitFor();
      await page.getByText(`Start trains ${name}, which is yours.`).waitFor();
      await choose(page, 2);
      await press(page, "Start");
      await statusOf(page, /Finished, iteration 2 of 2/);
      const row = page.locator(".runs tbody tr", { hasText: `${name}, easy.jsonl` });
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        row.getByRole("button", { name: /^Export/ }).press("Enter"),
      ]);
      const dir = join(folder, `${name}-run`);
      mkdirSync(dir);
      execFileSync("tar", ["xzf", await save(download, folder), "-C", dir]);
      await press(page, "Reset");
      await press(page, "Back to the bundled reasoner");
      await page.getByText(`Start trains ${name}.`).waitFor({ state: "hidden" });
      return join(dir, "model");
    };

    test("a file that is no task is refused in words, and a good one becomes the task", async () => {
      writeFileSync(join(folder, "bad.jsonl"), '{"problem": "1+1=?", "answer"\n');
      await page.locator("#problems").setInputFiles(join(folder, "bad.jsonl"));
      await page.locator("#own .error").waitFor();
      expect(await page.locator("#own .error").innerText()).toMatch(/bad\.jsonl.*line 1.*expected JSON/);
      await dropEasySums(page, folder);
    });

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
      await drop(cut);
      await answer.waitFor();
      expect(await answer.innerText()).toMatch(/model\.safetensors.*cut short/);

      const huge = bad("huge", (dir) => {
        const config = JSON.parse(readFileSync(join(dir, "config.json"), "utf8")) as object;
        writeFileSync(
          join(dir, "config.json"),
          JSON.stringify({ ...config, vocab_size: 2 ** 24, hidden_size: 2 ** 14 }),
        );
      });
      await drop(huge);
      await page.locator("#own .error", { hasText: "this adapter's limit" }).waitFor();

      await drop(REASONER);
      await isReady("reasoner");
      await generate("12+3=?");
      expect(await page.locator("#own pre.output").innerText()).toMatch(/\\boxed\{15\}/);
      await isReady("reasoner"); // no late progress takes its place
      await expectAccessible(page, "a model of one's own");
    });

    test("a dropped model trains two iterations, all of its weights; its export is read again [a random one without ../shared/models/stories260k]", async () => {
      const tiny = join(folder, "tiny");
      const dropped = existsSync(STORIES) ? join(folder, "stories260k") : tiny;
      if (dropped === tiny) await writeTinyModel(nodeFiles, tiny, { ...QUICK, num_hidden_layers: 1 });
      else {
        cpSync(STORIES, dropped, { recursive: true });
        // A quarter of its tokens end a response: a software adapter takes a second for a dozen.
        const eos = Array.from({ length: 128 }, (_, i) => 2 + 4 * i);
        writeFileSync(join(dropped, "generation_config.json"), JSON.stringify({ bos_token_id: 1, eos_token_id: eos }));
      }
      await drop(dropped);
      await isReady(basename(dropped));
      await page.getByText("It trains here, all of its weights: about").waitFor();
      const trained = await train(basename(dropped));
      const weights = (dir: string) => readFileSync(join(dir, "model.safetensors"));
      expect(weights(trained)).not.toEqual(weights(dropped));
      await drop(trained);
      await isReady("model");
      await generate("Once upon a time");
      expect(tab.troubles.splice(0)).toEqual([]);
    });

    test("where the machine has little memory it trains two iterations by LoRA; its adapter is exported and read again", async () => {
      const small = join(folder, "small");
      await writeTinyModel(nodeFiles, small, { ...QUICK, num_hidden_layers: 2 });
      // As in a browser on a machine of 64 MiB.
      await page
        .workers()[0]!
        .evaluate(() => Object.defineProperty(navigator, "deviceMemory", { configurable: true, value: 1 / 16 }));
      await drop(small);
      await isReady("small");
      await page.getByText("It trains here by LoRA, adapters of rank 16").waitFor();
      const adapter = await train("small");
      expect(readdirSync(adapter).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
      expect(JSON.parse(readFileSync(join(adapter, "adapter_config.json"), "utf8"))).toMatchObject({
        peft_type: "LORA",
        r: 16,
        base_model_name_or_path: "small",
      });
      await drop(adapter);
      await isReady("model");
      await page.getByText("It does not train here: it is an adapter").waitFor();
      await generate("1+1=?");
      expect(tab.troubles.splice(0)).toEqual([]);
    });
  },
);
