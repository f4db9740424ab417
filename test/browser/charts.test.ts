import { readFileSync } from "node:fs";
import { DOMParser } from "@xmldom/xmldom";
import type { Page } from "playwright";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { accessibilityFaults } from "./axe.ts";
import type { Kind } from "./charts-bench.ts";
import { openBench } from "./charts-page.ts";
import { CHROMIUM } from "./chromium.ts";

/** As in charts-bench.ts, which only a tab can load. */
const ITERATIONS = 500;

describe.skipIf(!CHROMIUM)("charts in Chromium [skipped where no Chromium is found; PITH_CHROMIUM names one]", () => {
  let page: Page;
  let close: () => Promise<void>;
  /** What the page complains of, its policy among it. */
  const troubles: string[] = [];

  beforeAll(async () => {
    ({ page, close } = await openBench());
    page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
    page.on("pageerror", ({ message }) => troubles.push(message));
  });
  afterAll(() => close());

  afterEach(() => expect(troubles.splice(0)).toEqual([]));

  const show = async (kind: Kind, width = 700) => {
    await page.evaluate(([what, size]) => bench.show(what, size), [kind, width] as const);
    await page.locator(".drawing").waitFor();
  };
  const readOut = () => page.locator(".read-out:visible text").allTextContents();

  test("are read by the pointer, and by the arrow keys, which say what they are at", async () => {
    await show("points");
    const marks = page.locator('.drawing [data-mark="dot"] [transform], .drawing [data-mark="dot"] circle');
    expect(await marks.count()).toBeGreaterThanOrEqual(3);
    await page.locator(".plot").hover();
    await page.locator(".reading > rect").nth(1).hover();
    expect(await readOut()).toEqual([
      "your runs, α 0.20",
      "accuracy on the held-out problems: 90.0%",
      expect.stringMatching(/^mean tokens, relative to the base model as it was before: 60\.0% ± 5\.0%$/),
    ]);
    await page.mouse.move(0, 690);
    expect(await readOut()).toEqual([]);
    await page.locator(".plot").focus();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    expect((await readOut())[0]).toBe("your runs, α 0.20");
    expect(await page.locator(".chart [aria-live]").textContent()).toContain("90.0%");
    await page.keyboard.press("Enter");
    await page.locator(".reading > rect").nth(0).click();
    expect(await page.evaluate(() => bench.picked)).toEqual(["second", "first"]);
  });

  test("a filmstrip of any number of answers fits its card, and marks the one that is shown", async () => {
    for (const [answers, at] of [
      [2, 1],
      [61, 30],
      [501, 250],
    ] as const) {
      await page.evaluate(([n, i]) => bench.film(n, i, 330), [answers, at] as const);
      const seen = await page.locator(".bars").evaluate((bars) => {
        // Four points of each bar, in percent.
        const points = [...bars.querySelectorAll("i")].map((layer) =>
          [...layer.style.clipPath.matchAll(/([\d.-]+)% ([\d.-]+)%/g)].map(([, x, y]) => [Number(x), 100 - Number(y)]),
        );
        return { width: bars.clientWidth, points };
      });
      const all = seen.points.flat();
      const here = seen.points.at(-1)!;
      expect(all.length / 4, `${answers} answers`).toBe(Math.min(answers, 60));
      expect(Math.min(...all.flat())).toBeGreaterThanOrEqual(0);
      expect(Math.max(...all.flat())).toBe(100);
      expect(here.length).toBe(4);
      expect(((here[2]![0]! - here[0]![0]!) / 100) * seen.width).toBeGreaterThanOrEqual(1);
      expect(here[0]![0]! / 100).toBeCloseTo(0.5, 1);
      expect(here[1]![1]! / 100).toBeCloseTo((answers - at) / answers, 1);
    }
  });

  test("have a table of every value", async () => {
    await show("curves");
    await page.locator(".chart summary").click();
    await expect.poll(() => page.locator(".chart tbody tr").count()).toBe(ITERATIONS); // filled once it is open
  });

  test.each(["curves", "points"] as const)("of %s cut no text at 360 pixels", async (kind) => {
    await show(kind, 320);
    for (const text of await page.locator(".drawing text").all()) {
      const outside = await text.evaluate((element) => {
        const box = element.getBoundingClientRect();
        const frame = element.closest("svg")!.getBoundingClientRect();
        return box.width > 0 && (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1);
      });
      expect(outside, (await text.textContent()) ?? "").toBe(false);
    }
  });

  test("export as SVG that stands alone, and as PNG at twice the size", async () => {
    await show("points");
    await page.locator(".plot").hover();
    const width = Number(await page.locator(".drawing").getAttribute("width"));
    const save = async (kind: string) => {
      const waiting = page.waitForEvent("download");
      await page.getByRole("button", { name: `Save this chart as ${kind}` }).click();
      const download = await waiting;
      return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
    };
    const svg = await save("SVG");
    expect(svg.name).toBe("pith-Accuracy-against-tokens.svg");
    const text = svg.bytes.toString();
    const { documentElement } = new DOMParser().parseFromString(text, "image/svg+xml");
    expect(documentElement!.getAttribute("width")).toBe(String(width + 16));
    expect(text).toContain(">Accuracy against tokens</text>");
    expect(text).not.toMatch(/var\(|class="reading"|light-dark/);
    const png = await save("PNG");
    expect(png.bytes.subarray(1, 4).toString()).toBe("PNG");
    expect([png.bytes.readUInt32BE(16), png.bytes.readUInt32BE(20)]).toEqual([2 * (width + 16), 2 * (300 + 28 + 16)]);
    // Something is drawn on it: a picture of one colour would take a hundredth of this.
    expect(png.bytes.length).toBeGreaterThan(10_000);
  });

  test.each(["curves", "points"] as const)("of %s have no fault that axe finds", async (kind) => {
    await show(kind);
    // Of the short table: axe takes minutes for one of 500 rows, and finds the same.
    if (kind === "points") {
      await page.locator(".chart summary").click();
      await page.locator(".chart tbody tr").first().waitFor();
    }
    await page.locator(".plot").focus();
    await page.keyboard.press("ArrowLeft");
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await accessibilityFaults(page)).toEqual([]);
    }
    await page.emulateMedia({ colorScheme: null });
  });

  test("follow light and dark", async () => {
    await show("points");
    const colour = () =>
      page
        .locator('.drawing [data-mark="dot"]')
        .first()
        .evaluate((dot) => getComputedStyle(dot).fill);
    await page.emulateMedia({ colorScheme: "light" });
    const light = await colour();
    await page.emulateMedia({ colorScheme: "dark" });
    expect(await colour()).not.toBe(light);
    await page.emulateMedia({ colorScheme: null });
  });
});
