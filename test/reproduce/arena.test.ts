import { describe, expect, test } from "vitest";
import { alphaOrders, summarise } from "../../src/reproduce/arena.ts";
import { renderArena } from "../../src/reproduce/arena-page.ts";
import { ARENA_METHODS, arenaPlan, SCALINGS } from "../../src/reproduce/arena-plan.ts";
import { baseRows, resultRows, type Outcome } from "../../src/reproduce/results.ts";
import { parseConfig } from "../../src/run/config.ts";

const score = (accuracy: number, mean_length: number) => ({
  accuracy,
  mean_length,
  by_difficulty: { "1": { accuracy, mean_length: mean_length / 2 }, "2": { accuracy, mean_length: 1.5 * mean_length } },
});
const outcome = (method: string, strength: number, seed: number, accuracy: number, tokens: number): Outcome => ({
  method,
  knob: "knob",
  strength,
  seed,
  final: score(accuracy, tokens),
  checkpoints: [],
  dynamics: [],
  num_sampled_tokens: 200_000 + 1000 * seed,
  seconds: 60 * seed,
});
const completions = Array.from({ length: 100 }, (_, i) => ({ length: 50 + i, correct: i % 5 !== 0 }));
const base = baseRows({ ...score(0.8, 99.5), completions }, [], 256)[0]!;
const BASE = 100;

describe("a method's summary", () => {
  const outcomes = [1, 2].flatMap((seed) => [
    outcome("short", 1, seed, 0.6, 20),
    outcome("short", 2, seed, 0.8, 50 + 10 * (seed - 1)),
    outcome("long", 1, seed, 0.7, 60),
    outcome("long", 2, seed, 0.9, 120),
  ]);
  const rows = resultRows(outcomes, 256);
  const [first, second] = summarise(outcomes, rows, BASE);

  test("is the mean of the seeds' areas, and of how far they spread", () => {
    const areas = [0.6 * 0.3 + 0.8 * 0.5, 0.6 * 0.4 + 0.8 * 0.4];
    expect(first).toMatchObject({ method: "short", onFront: 2 });
    expect(first!.area).toBeCloseTo((areas[0]! + areas[1]!) / 2, 12);
    expect(first!.areaHalf).toBeCloseTo((12.706 * (areas[0]! - areas[1]!)) / 2, 9);
  });

  test("leaves out what is no shorter than the base model, but not from the front of all", () => {
    expect(second).toMatchObject({ method: "long", onFront: 1, areaHalf: 0 });
    expect(second!.area).toBeCloseTo(0.7 * 0.4, 12);
  });
});

test("alpha orders the lengths where every larger one gives fewer tokens; intervals say how surely", () => {
  const outcomes = [0, 2].flatMap((spread, seed) => [
    outcome("falls", 0.4, seed, 0.9, 30),
    outcome("falls", 0.05, seed, 0.9, 80 + spread),
    outcome("falls", 0.1, seed, 0.9, 70 + spread),
    outcome("does not", 0.05, seed, 0.9, 30),
    outcome("does not", 0.4, seed, 0.9, 30),
  ]);
  const [falls, not] = alphaOrders(resultRows(outcomes, 256));
  expect(falls!.rows.map(({ strength }) => strength)).toEqual([0.05, 0.1, 0.4]);
  // Two seeds 2 apart: half an interval is 12.7 tokens, and 80 and 70 are not apart.
  expect(falls).toMatchObject({ method: "falls", ordered: true, apart: 1 });
  expect(not).toMatchObject({ ordered: false, apart: 0 });
  const [single] = alphaOrders(resultRows([outcome("one", 0.1, 1, 0.9, 30)], 256));
  expect(single).toMatchObject({ ordered: true, apart: null });
});

describe("the page", () => {
  const config = parseConfig({});
  const plan = arenaPlan({ config, baseTokens: BASE, budget: 1000, quick: false });
  const outcomesOf = (experiments: typeof plan.methods) =>
    [1, 2, 3].flatMap((seed) =>
      experiments.map(({ method, strength, knob }, i): Outcome => ({
        ...outcome(method, strength!, seed, 0.8 - i / 250, 90 - i - seed),
        knob,
      })),
    );
  const outcomes = outcomesOf(plan.methods);
  const rows = resultRows(outcomes, 256);
  const page = {
    facts: { "<b>": "<b>" },
    base,
    rows,
    methods: summarise(outcomes, rows, base.tokens),
    orders: alphaOrders(resultRows(outcomesOf(plan.scalings), 256)),
  };
  const html = renderArena(page);

  test("needs nothing outside itself, lets no text become markup, and has a number in every place", () => {
    expect(html).not.toMatch(/<script|<link|<img|\bsrc=|https?:|@import|url\(/);
    expect(html).not.toContain("<b>");
    expect(html).not.toMatch(/NaN|undefined|Infinity|null/);
  });

  test("opens with the shortest run that is about as accurate, and says who leads and what alpha does", () => {
    // The third of all: 86 tokens of 99.5; further ones lose more than a point.
    expect(html).toContain("<h1>sigmoid, α 0.4: 14% fewer tokens, 1 point less accurate</h1>");
    expect(html).toContain("Does alpha order the lengths, by scale_rewards? none: yes, batch: yes, group: yes.");
    const none = renderArena({ ...page, rows: [{ ...base, method: "sigmoid", strength: 1, tokens: 200 }] });
    expect(none).toContain("<h1>Nothing is shorter and about as accurate as the base model</h1>");
  });

  test("has a chart of each method, and rows of all in its tables", () => {
    for (const { name, knob } of ARENA_METHODS) expect(html).toContain(`${name}, by ${knob}`);
    for (const { name } of SCALINGS) expect(html).toContain(name.split(", ")[1] ?? "none");
    const rowsOf = (caption: string) =>
      html
        .split("<caption>")
        .find((table) => table.trimStart().startsWith(caption))!
        .match(/<th scope="row">/g)!.length;
    expect(rowsOf("Methods, by the area")).toBe(ARENA_METHODS.length);
    expect(rowsOf("Every strength")).toBe(1 + 3 * ARENA_METHODS.length);
    expect(rowsOf("Tokens by difficulty")).toBe(1 + 3 * ARENA_METHODS.length);
    expect(rowsOf("Tokens and pass rate by alpha")).toBe(3);
  });
});
