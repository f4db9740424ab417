import { describe, expect, test } from "vitest";
import { steerAlpha, type Measured } from "../../src/core/alpha-control.ts";

const lengths = (...values: number[]): Measured[] => values.map((meanLength) => ({ meanLength, accuracy: 0.5 }));
const accuracies = (...values: number[]): Measured[] => values.map((accuracy) => ({ meanLength: 100, accuracy }));

test("a given alpha is that alpha", () => {
  expect(steerAlpha({ alpha: 0.3 }, lengths(5, 500))).toBe(0.3);
});

describe("a target length", () => {
  const steer = (length: number) => steerAlpha({ targetLength: 50 }, lengths(10, length));

  test("lets go at the target and below, and is bounded above", () => {
    expect(steer(50)).toBe(0);
    expect(steer(20)).toBe(0);
    expect(steer(1e6)).toBe(1);
  });

  test("presses the more the longer the responses are", () => {
    expect(steer(55)).toBeCloseTo(2 * Math.log(1.1), 12);
    expect(steer(70)).toBeGreaterThan(steer(60));
  });

  test("shortens a model to the target and no further, if alpha shortens it at all", () => {
    const history = lengths(100);
    for (let i = 0; i < 200; i++) {
      const alpha = steerAlpha({ targetLength: 60 }, history);
      history.push(...lengths(history.at(-1)!.meanLength * (1 - 0.1 * alpha)));
    }
    expect(history.at(-1)!.meanLength).toBeGreaterThan(59.9);
    expect(history.at(-1)!.meanLength).toBeLessThan(60.5);
  });
});

describe("a largest drop of accuracy", () => {
  const steer = (...values: number[]) => steerAlpha({ maxAccuracyDrop: 0.02 }, accuracies(...values));

  test("measures its reference at alpha 0", () => {
    for (let n = 1; n <= 4; n++) expect(steer(...Array<number>(n).fill(0.8))).toBe(0);
  });

  test("presses on while accuracy holds, up to a bound", () => {
    const held = (n: number) => steer(...Array<number>(n).fill(0.8));
    expect(held(5)).toBeCloseTo(0.25 * 0.02, 12);
    expect(held(20)).toBeGreaterThan(held(10));
    expect(steer(...Array<number>(4).fill(0.5), ...Array<number>(100).fill(0.9))).toBe(0.6);
  });

  test("gives way ten times as fast once accuracy has fallen below the bound", () => {
    const up = [0.8, 0.8, 0.8, 0.8, ...Array<number>(20).fill(0.9)];
    const before = steer(...up);
    expect(before).toBeGreaterThan(0.3);
    expect(steer(...up, ...Array<number>(12).fill(0.5))).toBe(0);
    expect(steer(...up, 0.7)).toBeGreaterThan(before); // one bad batch is not a trend
  });
});
