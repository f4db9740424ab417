import { describe, expect, test } from "vitest";
import { quantile, summarize } from "../../src/measure/statistics.ts";

describe("quantiles", () => {
  test("lie between neighbours in proportion", () => {
    expect(quantile([1, 2, 4, 8], 0.5)).toBe(3);
    expect(quantile([1, 2, 4, 8], 0.25)).toBe(1.75);
    expect(quantile([1, 2, 4, 8], 1)).toBe(8);
    expect(quantile([5], 0.25)).toBe(5);
  });
});

describe("a summary", () => {
  test("sorts by value, not by text, and one outlier moves neither median nor spread", () => {
    expect(summarize([100, 9, 11, 10, 1000])).toEqual({ median: 11, iqr: 90, min: 9, count: 5 });
    expect(summarize([10, 10, 10, 10, 10_000])).toMatchObject({ median: 10, iqr: 0 });
  });

  test("of nothing is refused", () => {
    expect(() => summarize([])).toThrow("at least one");
  });
});
