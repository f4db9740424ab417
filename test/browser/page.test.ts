import type { Page } from "playwright";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { drawn, openTab, serveBuilt, type Site, type Tab } from "./browser.ts";
import { accessibilityFaults } from "./axe.ts";
import { CHROMIUM } from "./chromium.ts";

const tokens = async (page: Page) => Number(await page.locator(".reply.after .figure").innerText());
const setAlpha = (page: Page, alpha: number) => page.getByRole("slider", { name: "Alpha" }).fill(String(alpha));

describe.skipIf(!CHROMIUM)(
  "the page in a Chromium without WebGPU [skipped where no Chromium is found; PITH_CHROMIUM names one]",
  { timeout: 60_000 },
  () => {
    let site: Site;
    let tab: Tab;
    let page: Page;
    beforeAll(async () => {
      site = await serveBuilt();
      tab = await openTab(site, { gpu: false });
      ({ page } = tab);
    });
    afterAll(async () => {
      await tab.context.close();
      site.close();
    });
    beforeEach(() => page.setViewportSize({ width: 1280, height: 800 }));

    test("on arrival the answer shrinks by itself, before a byte of a model: at most 1.5 MB", async () => {
      await page.goto(site.url);
      await drawn(page);
      const before = site.requests.filter(({ path }) => !/safetensors/.test(path));
      expect(before.reduce((sum, { compressedBytes }) => sum + compressedBytes, 0)).toBeLessThan(1_500_000);
      const untrained = Number(await page.locator(".reply.before .figure").innerText());
      await expect.poll(() => page.locator("output[for=alpha]").innerText(), { timeout: 20_000 }).toBe("0.40");
      expect(await tokens(page)).toBeLessThan(untrained / 2);
      expect(await page.locator(".saved").innerText()).toMatch(/^\d\d% fewer tokens, the same answer\.$/);
      expect(await page.locator(".reply.before .badge").innerText()).toBe("✓ right");
      await expect.poll(() => page.locator("#adapter").innerText(), { timeout: 20_000 }).toBe("No WebGPU");
      // A visitor's browser has no software driver to install.
      expect(await page.locator('.notice[data-kind="no-webgpu"]').innerText()).not.toMatch(/lavapipe|vulkan|mesa/i);
      expect(
        await page.locator(".idea a").evaluateAll((links) => links.map((a) => (a as HTMLAnchorElement).host)),
      ).toEqual(["arxiv.org", "github.com"]);
      const picture = await page.locator('meta[property="og:image"]').getAttribute("content");
      expect((await page.request.get(new URL(picture!, site.url).href)).status()).toBe(200);
      // What is on one screen.
      const bottom = async (seen: string) => {
        const { y, height } = (await page.locator(seen).boundingBox())!;
        return y + height;
      };
      const tradeoff = ".side .chart:first-child svg";
      for (const seen of [
        "#alpha",
        ".controls .primary:visible",
        ".update",
        "#iteration",
        ".side .chart:last-child svg",
      ])
        expect(await bottom(seen), seen).toBeLessThanOrEqual(800);
      for (const [width, height] of [
        [768, 1024],
        [360, 800],
      ] as const) {
        await page.setViewportSize({ width, height });
        for (const seen of ["#alpha", ".reply.after", ".reply.before", tradeoff])
          await expect.poll(() => bottom(seen), { message: `${seen} at ${width}` }).toBeLessThanOrEqual(height);
      }
      const order = await Promise.all(
        ["#alpha", ".reply.after", tradeoff, ".rule-card", ".idea", "#prompts"].map(bottom),
      );
      expect(order).toEqual(order.toSorted((a, b) => a - b));
    });

    test("alpha changes the answer, and rewards and advantages as the formula has them", async () => {
      const seen: number[] = [];
      for (const alpha of [0.05, 0.4]) {
        await setAlpha(page, alpha);
        seen.push(await tokens(page));
        const rows = await page.locator(".response-row:visible").evaluateAll((elements) =>
          (elements as HTMLElement[]).map(({ dataset, classList }) => ({
            length: Number(dataset["length"]),
            reward: Number(dataset["reward"]),
            advantage: Number(dataset["advantage"]),
            c: classList.contains("correct") ? 1 : 0,
          })),
        );
        expect(rows.length).toBe(8);
        const right = rows.filter(({ c }) => c).map(({ length }) => length);
        const mean = right.reduce((a, b) => a + b, 0) / right.length;
        const std = Math.sqrt(right.reduce((sum, length) => sum + (length - mean) ** 2, 0) / right.length);
        const rewards = rows.map(({ c, length }) => c * (1 - alpha / (1 + Math.exp(-(length - mean) / (std + 1e-7)))));
        rows.forEach(({ reward, advantage }, i) => {
          expect(Math.abs(reward - rewards[i]!)).toBeLessThan(1e-6);
          const others = rewards.filter((_, j) => j !== i).reduce((a, b) => a + b, 0) / 7;
          expect(Math.abs(advantage - (rewards[i]! - others))).toBeLessThan(1e-6);
        });
        const marks = await page.locator(".sigmoid").innerText();
        expect(marks).toContain(`mean ${mean.toFixed(1)}`);
        expect(marks).toContain(`± std ${std.toFixed(1)}`);
        expect(await page.locator(".sigmoid .dot").count()).toBe(8);
      }
      // The formula's terms have the colours of what they name.
      const colour = (term: string) =>
        page
          .locator(term)
          .first()
          .evaluate((element) => getComputedStyle(element).color);
      for (const [term, named] of [
        ["length", ".response-row:visible .length"],
        ["alpha", "output[for=alpha]"],
        ["correct", ".response-row.correct:visible .sign"],
      ])
        expect(await colour(`.formula .${term}`), term).toBe(await colour(named!));
      expect(seen[1]).toBeLessThan(seen[0]!);
      expect(await page.locator(".update").innerText()).toMatch(/more likely|teaches nothing/);
    });

    test("the filmstrip is scrubbed; what a response says opens, and the focus stays; bars have one scale", async () => {
      await setAlpha(page, 0.4);
      /** Percent of the bar's track that a token takes. */
      const perToken = () =>
        page
          .locator(".response-row:visible")
          .evaluateAll((rows) =>
            (rows as HTMLElement[]).map(
              (one) =>
                parseFloat(one.querySelector<HTMLElement>(".bar")!.style.getPropertyValue("--share")) /
                Number(one.dataset["length"]),
            ),
          );
      const scales = [...(await perToken())];
      await page.getByRole("slider", { name: "Along training" }).fill("1");
      scales.push(...(await perToken()));
      for (const scale of scales) expect(scale).toBeCloseTo(scales[0]!, 4);
      // A smooth curve lies over the raw one, in the same colour.
      const curve = page.locator(".side .chart").nth(1).locator('[data-mark="line"] path');
      expect(await curve.count()).toBe(2);
      await page.getByText("Reward and cut-off").click();
      await page.getByText("it can fall or stand still while everything gets better").waitFor();
      const row = page.locator(".response-row").nth(2);
      await row.click();
      expect(await page.locator("pre.response").innerText()).toContain("boxed");
      const film = page.getByRole("slider", { name: "Along training" });
      await film.fill("0");
      const untrained = Number(await page.locator(".reply.before .figure").innerText());
      expect(await film.getAttribute("aria-valuetext")).toMatch(`untrained: ${untrained} tokens`);
      await film.focus();
      for (let i = 0; i < 6; i++) await page.keyboard.press("ArrowRight");
      const last = await tokens(page);
      expect(last).toBeLessThan(untrained);
      expect(await film.evaluate((element) => element === document.activeElement)).toBe(true);
      await row.focus();
      await setAlpha(page, 0.35);
      await row.focus();
      expect(await row.getAttribute("aria-expanded")).toBe("true");
    });

    test("a copied link shows the same", async () => {
      await setAlpha(page, 0.1);
      await page.getByRole("button", { name: "Next problem" }).click();
      await page.getByRole("slider", { name: "Along training" }).fill("3");
      await tab.context.grantPermissions(["clipboard-read", "clipboard-write"]);
      await page.getByRole("button", { name: "Copy link" }).click();
      await page.getByText("Copied").waitFor();
      const link = await page.evaluate(() => navigator.clipboard.readText());
      const seen = () =>
        Promise.all(
          [".reply.after", ".answer-card .problem", "output[for=iteration]"].map((part) =>
            page.locator(part).innerText(),
          ),
        );
      const before = await seen();
      await page.goto("about:blank");
      await page.goto(link);
      await drawn(page);
      expect(await seen()).toEqual(before);
      expect(await page.locator("output[for=alpha]").innerText()).toBe("0.10");
      for (const broken of ["?alpha=9&problem=-1&iteration=x", "?problem=999&alpha=<b>"]) {
        await page.goto(site.url + broken);
        await drawn(page);
      }
    });

    test("a link to a section opens there, and stays there when the charts above it are drawn", async () => {
      await page.goto("about:blank"); // or it might be a move within the page
      await page.goto(`${site.url}#benchmark`);
      await page.locator("#tradeoff .chart svg").nth(1).waitFor();
      const top = () => page.locator("#benchmark-title").evaluate((title) => title.getBoundingClientRect().top);
      await expect.poll(top, { timeout: 10_000 }).toBeLessThan(800);
      expect(await top()).toBeGreaterThanOrEqual(0);
    });

    test("the worker is under the page's policy: no code from text, no strangers", async () => {
      const [worker] = page.workers();
      const tried = await worker!.evaluate(
        () =>
          new Promise<string[]>((resolve) => {
            // Beyond the call that the debugger lets through.
            setTimeout(async () => {
              const seen: string[] = [];
              try {
                new Function("return 1")();
                seen.push("code from text ran");
              } catch (error) {
                seen.push((error as Error).name);
              }
              await fetch("https://example.com/").then(
                () => seen.push("fetched"),
                (error: Error) => seen.push(error.name),
              );
              resolve(seen);
            });
          }),
      );
      expect(tried).toEqual(["EvalError", "TypeError"]);
      expect(tab.troubles.filter((trouble) => /request to/.test(trouble))).toEqual([]);
    });

    for (const colorScheme of ["light", "dark"] as const)
      test(`axe finds nothing, and nothing sticks out, from 360 pixels to twice the size: ${colorScheme}`, async () => {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        for (const [width, height] of [
          [1280, 800],
          [640, 400], // 1280 at 200%
          [360, 800],
        ] as const) {
          await page.setViewportSize({ width, height });
          await page.locator(".response-row").first().click();
          expect(await page.evaluate(() => document.documentElement.scrollWidth), `${width}`).toBeLessThanOrEqual(
            width,
          );
          expect(await accessibilityFaults(page), `${width}`).toEqual([]);
        }
      });

    test("for those who want no motion nothing plays; the keyboard alone comes to every control", async () => {
      await page.emulateMedia({ reducedMotion: "reduce" });
      await page.goto(site.url);
      await drawn(page);
      expect(await page.locator("output[for=alpha]").innerText()).toBe("0.20");
      expect(await page.getByRole("button", { name: "Stop" }).count()).toBe(0);
      const reached = new Set<string>();
      for (let i = 0; i < 90; i++) {
        await page.keyboard.press("Tab");
        reached.add(
          await page.evaluate(() => document.activeElement!.id || document.activeElement!.textContent!.trim()),
        );
      }
      for (const control of [
        "alpha",
        "iterations",
        "prompts",
        "iteration",
        "Copy link",
        "import",
        "overlay",
        "problem",
        "hub",
        "folder",
      ])
        expect([...reached], control).toContain(control);
    });

    test("without workers the recordings play, and the page says what does not", async () => {
      await page.addInitScript(() => Reflect.deleteProperty(globalThis, "Worker"));
      await page.goto(site.url);
      await drawn(page);
      await page.locator('.notice[data-kind="no-worker"]').waitFor();
    });

    test("after the first visit it opens without a network", async () => {
      await page.evaluate(async () => void (await navigator.serviceWorker.ready));
      await page.reload();
      site.close();
      await page.goto(`${site.url}?alpha=0.4`);
      await drawn(page);
      expect(await tokens(page)).toBeGreaterThan(0);
      expect(await page.locator("output[for=alpha]").innerText()).toBe("0.40");
    });
  },
);
