import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bestOf, parseBestRule, type Scored } from "../../src/core/best.ts";
import { ConfigError } from "../../src/errors.ts";

const scored = (...pairs: [number, number][]): Scored[] =>
  pairs.map(([accuracy, mean_length]) => ({ accuracy, mean_length }));
const [base] = scored([0.9, 100]) as [Scored];
const best = (rule: string, ...pairs: [number, number][]) => bestOf(parseBestRule(rule), base, scored(...pairs));

describe("parseBestRule", () => {
  test.each([
    ["accuracy >= base - 0.01, fewest tokens", { relative: true, value: -0.01 }, "fewest tokens"],
    ["accuracy>=base+.02,fewest tokens", { relative: true, value: 0.02 }, "fewest tokens"],
    ["accuracy >= base, highest accuracy", { relative: true, value: 0 }, "highest accuracy"],
    ["accuracy >= 0.85, fewest tokens", { relative: false, value: 0.85 }, "fewest tokens"],
    ["fewest tokens", null, "fewest tokens"],
    ["highest accuracy", null, "highest accuracy"],
  ])("%s", (text, least, goal) => {
    expect(parseBestRule(text)).toEqual({ least, goal });
  });

  test.each([
    "",
    "accuracy",
    "accuracy >= base - 0.01",
    "tokens <= 5, highest accuracy",
    "accuracy > 0.5, fewest tokens",
  ])("refuses %j", (text) => {
    expect(() => parseBestRule(text)).toThrow(ConfigError);
  });
});

describe("bestOf", () => {
  test("the fewest tokens among those accurate enough, by the decimals of the rule", () => {
    expect(best("accuracy >= base - 0.01, fewest tokens", [0.95, 90], [0.89, 60], [0.88, 20], [0.91, 61])).toBe(1);
    expect(best("accuracy >= 0.9, fewest tokens", [0.95, 90], [0.89, 60], [0.9, 80])).toBe(2);
    expect(best("fewest tokens", [0.1, 9], [0, 8])).toBe(1);
    expect(best("highest accuracy", [0.1, 9], [0.3, 800], [0.2, 1])).toBe(1);
  });

  test("the earliest of equals, and none where none is accurate enough", () => {
    expect(best("fewest tokens", [0.9, 8], [0.95, 8])).toBe(0);
    expect(best("accuracy >= base + 0.05, fewest tokens", [0.9, 8], [0.94, 8])).toBe(-1);
    expect(best("highest accuracy")).toBe(-1);
  });

  test("what comes later never makes an earlier choice worse", () => {
    const scores = fc.array(
      fc.record({ accuracy: fc.double({ min: 0, max: 1, noNaN: true }), mean_length: fc.nat(9) }),
    );
    fc.assert(
      fc.property(scores, (all) => {
        const rule = parseBestRule("accuracy >= base - 0.2, fewest tokens");
        const tokens = all.map((_, i) => all[bestOf(rule, base, all.slice(0, i + 1))]?.mean_length ?? Infinity);
        expect(tokens).toEqual(tokens.toSorted((a, b) => b - a));
      }),
    );
  });
});
