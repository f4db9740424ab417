import { chromium, type Browser } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { claims } from "../../src/reproduce/claims.ts";
import { renderReproduction } from "../../src/reproduce/page.ts";
import { alphaOrders, summarise } from "../../src/reproduce/arena.ts";
import { renderArena } from "../../src/reproduce/arena-page.ts";
import { CUTOFFS } from "../../src/reproduce/plan.ts";
import { baseRows, pointOf, resultRows, type Outcome } from "../../src/reproduce/results.ts";
import { renderComparison } from "../../src/run/compare.ts";
import { PAPER_TABLES } from "../../src/run/paper-tables.ts";
import { renderReport } from "../../src/run/report.ts";
import { accessibilityFaults } from "./axe.ts";
import { CHROMIUM, launchOptions } from "./chromium.ts";

const scores = (accuracy: number, mean_length: number) => ({
  num_problems: 8,
  clipped_ratio: 0,
  accuracy,
  mean_length,
});
const evaluation = (accuracy: number, length: number) => ({
  ...scores(accuracy, length),
  by_difficulty: { "1": scores(accuracy, length / 2), "2": scores(accuracy - 0.1, 2 * length) },
  completions: [true, false].map((correct, i) => ({
    problem_id: `p${i}`,
    difficulty: 1,
    prompt: "<|user|>12+3=?",
    completion: "12+3 is 15, and again: ".repeat(length / 4),
    answer: "15",
    correct,
    length,
  })),
});
const report = renderReport({
  title: "Pith: arithmetic, alpha 0.2",
  facts: { model: "models/reasoner", adapter: "llvmpipe: Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6) 0.0.1" },
  metrics: Array.from({ length: 40 }, (_, i) => ({
    step: i + 1,
    reward: 0.6 + 0.2 * Math.sin(i),
    accuracy: 0.8 + i / 400,
    "completions/mean_length": 90 - i,
    kl: i / 1000,
  })),
  samplers: [{ worker: "9f3c", adapter: "llvmpipe", responses: 128, tokens: 9000 }],
  before: evaluation(0.8, 92),
  after: evaluation(0.9, 40),
});

const outcome = (method: string, alpha: number | null, tokens: number): Outcome => ({
  method,
  knob: alpha === null ? null : "alpha",
  strength: alpha,
  seed: 1,
  final: { accuracy: 0.9, mean_length: tokens, by_difficulty: { "1": { accuracy: 0.9, mean_length: tokens } } },
  checkpoints: method === "RL" ? [{ iteration: 20, accuracy: 0.85, mean_length: tokens + 9 }] : [],
  dynamics: method.startsWith("RL") ? [1, 2, 3].map((i) => ({ accuracy: 0.8, mean_length: tokens + 30 / i })) : [],
  num_sampled_tokens: 200_000,
  seconds: 60,
});
const outcomes = [0, 0.1, 0.4].flatMap((alpha) => [outcome("RL", alpha, 90 - 100 * alpha)]);
outcomes.push(outcome("SFT", null, 60), outcome("DPO", null, 80), outcome("RL, normalised", 0.1, 40));
const base = {
  ...outcome("Base", null, 91).final,
  completions: Array.from({ length: 100 }, (_, i) => ({ length: 41 + i, correct: i % 5 !== 0 })),
};
const rows = [...baseRows(base, CUTOFFS, 256), ...resultRows(outcomes, 256)];

const contest = ["sigmoid", "kimi", "hapo"].flatMap((method, m) =>
  [0.05, 0.2, 0.4].map((strength) => outcome(method, strength, 90 - 100 * strength - 5 * m)),
);
const contestRows = resultRows(contest, 256);
const whole = baseRows(base, [], 256)[0]!;

const PAGES = {
  report,
  comparison: renderComparison(
    rows.map((row) => ({ ...pointOf(row), name: `${row.method} ${row.context}` })),
    PAPER_TABLES,
  ),
  arena: renderArena({
    facts: { budget: "200,000 response tokens a run" },
    base: whole,
    rows: contestRows,
    methods: summarise(contest, contestRows, whole.tokens),
    orders: alphaOrders(contestRows.filter(({ method }) => method === "sigmoid")),
  }),
  reproduction: renderReproduction({ facts: {}, rows, outcomes, claims: claims(base, rows, outcomes) }),
};

describe.skipIf(!CHROMIUM)("reports in Chromium [skipped where no Chromium is found; PITH_CHROMIUM names one]", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch(launchOptions([]));
  });
  afterAll(() => browser.close());

  describe.each(Object.entries(PAGES))("the %s", (_, html) => {
    test.each([
      ["light", 360],
      ["dark", 1280],
    ] as const)("has no fault that axe finds, and nothing sticks out: %s, %i pixels", async (colorScheme, width) => {
      const page = await browser.newPage({ colorScheme, viewport: { width, height: 800 } });
      await page.setContent(html);
      await page.locator("details").first().locator("summary").click();
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      expect(await accessibilityFaults(page)).toEqual([]);
      await page.close();
    });
  });

  test("are read by the pointer without a script", async () => {
    const page = await browser.newPage({ javaScriptEnabled: false, viewport: { width: 1280, height: 900 } });
    await page.setContent(report);
    const chart = page.locator(".chart", { hasText: "Mean response tokens" });
    expect(await chart.locator(".read-out").first().isVisible()).toBe(false);
    await chart.locator(".reading > rect").nth(9).hover();
    await expect
      .poll(() => chart.locator(".read-out:visible text").allTextContents())
      .toEqual(["iteration 10", "Mean response tokens: 81.0, mean of 10 85.5"]);
    await page.close();
  });
});
