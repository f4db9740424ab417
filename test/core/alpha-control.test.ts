import { describe, expect, test } from "vitest";
import { steerAlpha, type Measured } from "../../src/core/alpha-control.ts";

const lengths = (...values: number[]): Measured[] => values.map((meanLength) => ({ meanLength, accuracy: 0.5 }));
const accuracies = (...values: number[]): Measured[] => values.map((accuracy) => ({ meanLength: 100, accuracy }));

test("a given alpha is that alpha", () => {
  expect(steerAlpha({ alpha: 0.3 }, lengths(5, 500))).toBe(0.3);
});

describe("a target length", () => {
  const steer = (...values: number[]) => steerAlpha({ targetLength: 50 }, lengths(...values));

  test("is the logarithm of how much too long responses are, bounded", () => {
    expect(steer(50)).toBe(0);
    expect(steer(55)).toBeCloseTo(Math.log(1.1), 12);
    expect(steer(48)).toBeCloseTo(Math.log(0.96), 12);
    expect(steer(1e6)).toBe(0.5);
    expect(steer(1)).toBe(-0.2);
  });

  test("adds a tenth of every iteration's excess, but waits at a bound", () => {
    const excess = Math.log(1.1);
    expect(steer(55, 55, 55)).toBeCloseTo(1.2 * excess, 12);
    expect(Math.abs(steer(...Array<number>(50).fill(500), ...Array<number>(6).fill(50)))).toBeLessThan(0.05);
  });

  test("reads the length off a line through the last six iterations", () => {
    const zigzag = [50, 60, 50, 60, 50, 60];
    expect(Math.abs(steer(...zigzag) - steer(...zigzag, 50))).toBeLessThan(0.08);
  });

  test.each([0, 0.3])("lands on the target where alpha acts with delay and against a pull of %d", (pull) => {
    const history = lengths(100);
    let pace = 0;
    for (let i = 0; i < 120; i++) {
      const length = history.at(-1)!.meanLength;
      const alpha = steerAlpha({ targetLength: 60 }, history);
      pace += 0.25 * (0.2 * (alpha - pull * Math.log(100 / length)) - pace);
      history.push(...lengths(length * Math.exp(-pace)));
    }
    for (const { meanLength } of history.slice(-20)) expect(Math.abs(meanLength / 60 - 1)).toBeLessThan(0.03);
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
