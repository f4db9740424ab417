import { describe, expect, test } from "vitest";
import { compareResults } from "../../src/measure/comparison.ts";
import { comparisonToMarkdown, figures, toMarkdown } from "../../src/measure/markdown.ts";
import type { BenchResult, Line } from "../../src/measure/result.ts";

const line = (name: string, median: number, iqr = 0, more: Partial<Line> = {}): Line => ({
  part: "kernels",
  model: "reasoner",
  name,
  shape: "64 x 64",
  storage: "bf16",
  ms: { median, iqr, min: median, count: 9 },
  clock: "host",
  flops_per_second: 2e12,
  bytes_per_second: 3e9,
  bound: "compute",
  roof_share: 0.5,
  ...more,
});

const result = (...lines: Line[]): BenchResult => ({
  date: "2026-01-01T00:00:00.000Z",
  adapter: { name: "adapter", vendor: "", architecture: "", driver: "", tier: "baseline", features: [] },
  roof: { flops: { f32: 1e12, bf16: 4e12 }, bytes: 1e10, products: [] },
  lines,
  skipped: [{ part: "decode", model: "reasoner", name: "decode", shape: "1", reason: "too slow" }],
});

describe("two results", () => {
  test("are compared line by line, whatever their order, the largest change first", () => {
    const before = result(line("a", 10), line("b", 10), line("gone", 1));
    const after = result(line("new", 1), line("b", 40), line("a", 5));
    const { changes, onlyBefore, onlyAfter } = compareResults(before, after);
    expect(changes.map(({ line: l, speedup }) => [l.name, speedup])).toEqual([
      ["b", 0.25],
      ["a", 2],
    ]);
    expect([onlyBefore.map((l) => l.name), onlyAfter.map((l) => l.name)]).toEqual([["gone"], ["new"]]);
  });

  test("that differ in shape or storage are different measurements", () => {
    const before = result(line("a", 10));
    expect(compareResults(before, result(line("a", 10, 0, { storage: "f32" }))).changes).toEqual([]);
    expect(compareResults(before, result(line("a", 10, 0, { shape: "1 x 64" }))).changes).toEqual([]);
  });

  test("differ clearly only where the spreads lie apart", () => {
    const clear = (a: Line, b: Line) => compareResults(result(a), result(b)).changes[0]!.clear;
    expect(clear(line("a", 10, 1), line("a", 12, 1))).toBe(true);
    expect(clear(line("a", 10, 3), line("a", 12, 3))).toBe(false);
    expect(comparisonToMarkdown(compareResults(result(line("a", 10, 3)), result(line("a", 12, 3))))).toContain(
      "within the spread",
    );
  });
});

describe("a result's page", () => {
  test("has every measurement in its unit and what was left out", () => {
    const page = toMarkdown(result(line("fast", 0.5), line("moved", 2, 0, { bound: "memory" })));
    expect(page).toContain("| reasoner | fast | 64 x 64 | bf16 | 0.500 | 0 | 2.00 TFLOP/s | 50.0% |");
    expect(page).toContain("3.00 GB/s");
    expect(page).toContain("too slow");
  });

  test("has figures without exponents", () => {
    expect([0.000_123_4, 0.5, 12.34, 1234.5, 123_456].map(figures)).toEqual([
      "0.000123",
      "0.500",
      "12.3",
      "1235",
      "123456",
    ]);
  });
});
