import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { claims } from "../../src/reproduce/claims.ts";
import { renderReproduction } from "../../src/reproduce/page.ts";
import { PAPER_TABLES } from "../../src/run/paper-tables.ts";
import { CUTOFFS } from "../../src/reproduce/plan.ts";
import { baseRows, resultRows, type Outcome } from "../../src/reproduce/results.ts";
import { renderComparison } from "../../src/run/compare.ts";
import { difference, shortest } from "../../src/run/difference.ts";
import { renderReport } from "../../src/run/report.ts";
import { readSaved, savedEvaluation } from "../../src/run/saved.ts";
import { FormatError } from "../../src/errors.ts";
import { files, temporaryFolder } from "../helpers/host.ts";

/** A page that needs nothing outside itself and lets no text become markup. */
function expectClosed(html: string): void {
  expect(html).not.toMatch(/<script|<link|<img|\bsrc=|https?:|@import|url\(/);
  expect(html).not.toContain("<b>");
}

const score = (accuracy: number, mean_length: number) => ({
  accuracy,
  mean_length,
  by_difficulty: { "1": { accuracy, mean_length }, "2": { accuracy, mean_length: 2 * mean_length } },
});
const outcome = (method: string, alpha: number | null, seed: number, accuracy: number, tokens: number): Outcome => ({
  method,
  knob: alpha === null ? null : "alpha",
  strength: alpha,
  seed,
  final: score(accuracy, tokens + seed),
  checkpoints: method === "RL" ? [{ iteration: 10, accuracy: accuracy - 0.1, mean_length: tokens + 20 }] : [],
  dynamics: method.startsWith("RL") ? [1, 2, 3].map((i) => ({ accuracy, mean_length: tokens + 30 / i })) : [],
  num_sampled_tokens: 1000 * seed,
  seconds: 10 * seed,
});
const tableRows = (some: readonly Outcome[]) => [...baseRows(base, CUTOFFS, 200), ...resultRows(some, 200)];
const base = {
  ...score(0.8, 100),
  completions: Array.from({ length: 100 }, (_, i) => ({ length: 50 + i, correct: i % 5 !== 0 })),
};
const outcomes = [1, 2].flatMap((seed) => [
  outcome("RL", 0, seed, 0.9, 95),
  outcome("RL", 0.1, seed, 0.89, 60),
  outcome("RL", 0.4, seed, 0.8, 30),
  outcome("SFT", null, seed, 0.7, 70),
  outcome("DPO", null, seed, 0.1, 98),
  outcome("RL, normalised", 0.1, seed, 0.75, 31),
  outcome("RL, normalised", 0.4, seed, 0.78, 30),
]);

describe("the reproduction", () => {
  const rows = tableRows(outcomes);

  test("has means and intervals over seeds, and the base model at every cutoff", () => {
    const rl = rows.find(({ method, strength }) => method === "RL" && strength === 0.1)!;
    expect(rl).toMatchObject({ tokens: 61.5, accuracy: 0.89, context: 200, seeds: 2 });
    expect(rl).toMatchObject({ tokensByDifficulty: { "1": 61.5, "2": 123 }, sampledTokens: 1500, seconds: 15 });
    expect(rl.tokensHalf).toBeCloseTo(12.706 * 0.5, 10);
    const whole = rows.find(({ method, context }) => method === "Base" && context === 200)!;
    expect(whole).toMatchObject({ tokens: 99.5, accuracy: 0.8 });
  });

  test("gives a verdict on every claim, holding or not", () => {
    const verdict = (named: RegExp, changed = outcomes) =>
      claims(base, tableRows(changed), changed).find(({ claim }) => named.test(claim))!.holds;
    expect(verdict(/larger alpha/)).toBe(true);
    expect(
      verdict(
        /larger alpha/,
        outcomes.map((o) => (o.strength === 0.4 ? { ...o, final: score(0.8, 90) } : o)),
      ),
    ).toBe(false);
    expect(verdict(/Accuracy falls little/)).toBe(true);
    expect(verdict(/Easy problems shrink more/)).toBe(false); // both by the same share
    expect(verdict(/shortens more than alpha asks for/)).toBe(true);
    expect(verdict(/costs accuracy/)).toBe(true);
    expect(verdict(/SFT is worse/)).toBe(false); // at 71.5 tokens the cutoff has lost nearly everything
    expect(verdict(/DPO is worse/)).toBe(true);
  });

  test("is a page of its own", () => {
    const html = renderReproduction({ facts: { "<b>": "<b>" }, rows, outcomes, claims: claims(base, rows, outcomes) });
    expectClosed(html);
    expect(html).not.toContain("NaN");
    for (const figure of ["figures 3, 4 and 7", "figure 2", "figure 5", "figure 6"]) expect(html).toContain(figure);
  });
});

test("a comparison shows the runs and the paper's six tables", () => {
  const run = { name: "<b>mine", method: "RL", label: "α 0.2", tokens: 40, accuracy: 0.9 };
  const html = renderComparison([run], PAPER_TABLES);
  expectClosed(html);
  expect(html).toContain("&lt;b&gt;mine");
  expect(html.match(/the paper, table \d/g)?.length).toBeGreaterThanOrEqual(6);
  expect(PAPER_TABLES.map(({ rows: { length } }) => length)).toEqual(Array(6).fill(13));
});

test("a report without evaluation has its curves, and no text of a model becomes markup", () => {
  const completion = {
    problem_id: "1",
    difficulty: 1,
    prompt: "<b>",
    completion: "<b>",
    answer: "<b>",
    correct: true,
    length: 3,
  };
  const evaluation = { ...score(0.5, 10), num_problems: 1, clipped_ratio: 0, completions: [completion] };
  const by_difficulty = { "1": { num_problems: 1, accuracy: 0.5, mean_length: 10, clipped_ratio: 0 } };
  const metrics = [1, 2].map((step) => ({ step, reward: step / 10, "completions/mean_length": 100 / step }));
  const samplers = [
    { worker: "w1", adapter: "<b>GPU", responses: 30, tokens: 900 },
    { worker: "w2", adapter: null, responses: 10, tokens: 300 },
  ];
  const data = { title: "<b>", facts: {}, metrics, samplers, before: null, after: null };
  expect(renderReport(data)).toMatch(/Reward\s+<strong>0\.100 → 0\.200/);
  expectClosed(renderReport(data));
  expect(renderReport(data)).toMatch(/Who sampled what[^]*w1[^]*900[^]*75\.0%[^]*w2[^]*not known[^]*25\.0%/);
  expect(renderReport({ ...data, samplers: [] })).not.toContain("Who sampled");
  expectClosed(
    renderReport({ ...data, before: { ...evaluation, by_difficulty }, after: { ...evaluation, by_difficulty } }),
  );
});

test("text in the place of a number is escaped, and nothing is let in from outside", () => {
  const hostile = '<img src="x" onerror=alert(1)>';
  const rows = [{ name: "<b>", method: "<b>", label: hostile, tokens: 10, accuracy: 0.5 }];
  const page = renderComparison(rows, PAPER_TABLES);
  expect(page).toContain("&lt;img src=&quot;x&quot; onerror=alert(1)&gt;");
  expect(page).not.toMatch(/<img|<b>/);
  expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
});

describe("a folder that somebody sent", () => {
  const dir = temporaryFolder();
  const scores = { num_problems: 1, accuracy: 0.5, mean_length: 10, clipped_ratio: 0 };
  const whole = { ...scores, by_difficulty: { "1": scores }, completions: [] };

  test.each<[string, unknown, RegExp]>([
    ["text for a number", { before: { ...whole, num_problems: "<img>" }, after: whole }, /before\.num_problems: /],
    ["a part missing", { before: whole }, /after: /],
    ["nothing", null, /expected object/],
  ])("with %s in evaluation.json is refused by its place", async (_, content, message) => {
    const path = `${dir}/evaluation.json`;
    await files.write(path, JSON.stringify(content));
    const reading = readSaved(files, path, savedEvaluation);
    await expect(reading).rejects.toThrow(FormatError);
    await expect(reading).rejects.toThrow(message);
  });

  test("with what pith wrote is read", async () => {
    await files.write(`${dir}/good.json`, JSON.stringify({ before: whole, after: whole }));
    expect(await readSaved(files, `${dir}/good.json`, savedEvaluation)).toEqual({ before: whole, after: whole });
  });
});

test.each([
  [{ tokens: 83, accuracy: 0.79 }, { tokens: 39, accuracy: 0.91 }, "53% fewer tokens, 12 points more accurate"],
  [{ tokens: 100, accuracy: 0.5 }, { tokens: 110, accuracy: 0.49 }, "10% more tokens, 1 point less accurate"],
  [{ tokens: 100, accuracy: 0.5 }, { tokens: 100.2, accuracy: 0.501 }, "as many tokens, as accurate"],
  [{ tokens: 0, accuracy: 0 }, { tokens: 9, accuracy: 1 }, "as many tokens, 100 points more accurate"],
])("%o and %o differ in words", (from, to, words) => {
  expect(difference(from, to)).toBe(words);
});

test("the shortest point that is about as accurate is chosen, and none where none is", () => {
  const base = { tokens: 100, accuracy: 0.8 };
  const points = [
    { tokens: 20, accuracy: 0.6 },
    { tokens: 60, accuracy: 0.795 },
    { tokens: 70, accuracy: 0.9 },
  ];
  expect(shortest(points, base)).toBe(points[1]);
  expect(shortest([{ tokens: 120, accuracy: 1 }], base)).toBe(null);
});

test("reports have the colours of the demo page, and begin with the sentence that matters", () => {
  const colours = (css: string) =>
    new Map(Array.from(css.matchAll(/(--[\w-]+):\s*([^;]+);/g), ([, name, value]) => [name, value]));
  const page = colours(readFileSync(new URL("../../web/css/base.css", import.meta.url), "utf8").split("}")[0]!);
  for (const [name, value] of colours(/<style>([^}]*)}/.exec(renderComparison([], []))![1]!))
    expect(page.get(name), name).toBe(value);
  const run = (name: string, method: string, tokens: number, accuracy: number) => ({
    name,
    method,
    label: null,
    tokens,
    accuracy,
  });
  expect(renderComparison([run("base", "Base", 80, 0.8), run("mine", "RL", 40, 0.9)], [])).toContain(
    "<h1>50% fewer tokens, 10 points more accurate</h1>",
  );
  const metrics = Array.from({ length: 40 }, (_, i) => ({
    step: i + 1,
    accuracy: 0.5,
    "completions/mean_length": i < 20 ? 100 : 75,
  }));
  const report = renderReport({ title: "t", facts: {}, metrics, samplers: [], before: null, after: null });
  expect(report).toContain("<h1>25% fewer tokens, as accurate</h1>");
});
