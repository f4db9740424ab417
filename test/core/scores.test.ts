import { describe, expect, test } from "vitest";
import {
  bootstrapInterval,
  majorityIsCorrect,
  passAtK,
  scoreSamples,
  type ScoredSample,
} from "../../src/core/scores.ts";
import { compareAnswers } from "../../src/grader/grade.ts";
import { scoreAtCutoff } from "../../src/core/cutoff.ts";
import { randomAt } from "../../src/core/rng.ts";
import { meanInterval, runningMean } from "../../src/core/statistics.ts";

const sample = (extracted: string, correct: boolean, length = 10, finish_reason: "stop" | "length" = "stop") =>
  ({ extracted, correct, length, finish_reason }) satisfies ScoredSample;

describe("pass@k", () => {
  test("is the share of k-subsets with a correct sample", () => {
    const [n, c, k] = [6, 2, 3];
    let solved = 0;
    let subsets = 0;
    for (let mask = 0; mask < 1 << n; mask++) {
      const chosen = Array.from({ length: n }, (_, i) => (mask >> i) & 1);
      if (chosen.reduce((a, b) => a + b, 0) !== k) continue;
      subsets++;
      if (chosen.slice(0, c).some((bit) => bit === 1)) solved++;
    }
    expect(passAtK(n, c, k)).toBeCloseTo(solved / subsets, 14);
  });

  test("at its ends", () => {
    expect(passAtK(8, 0, 8)).toBe(0);
    expect(passAtK(8, 1, 8)).toBe(1);
    expect(passAtK(8, 3, 1)).toBeCloseTo(3 / 8, 14);
  });
});

const sameText = (a: string, b: string) => a === b;

describe("majority", () => {
  test("takes the most frequent answer, the first drawn among equals", () => {
    expect(majorityIsCorrect([sample("7", false), sample("8", true), sample("8", true)], sameText)).toBe(true);
    expect(majorityIsCorrect([sample("7", false), sample("8", true)], sameText)).toBe(false);
  });

  test("counts answers by what they say, where told how", () => {
    const group = ["1/2", "0.5", "3", "3", "\\frac{1}{2}"].map((text) => sample(text, text !== "3"));
    expect(majorityIsCorrect(group, sameText)).toBe(false);
    expect(majorityIsCorrect(group, (a, b) => compareAnswers(a, b).verdict)).toBe(true);
  });

  test("leaves out responses that were cut off or have no answer", () => {
    const cut = sample("8", false, 10, "length");
    expect(majorityIsCorrect([cut, cut, sample("", false), sample("", false), sample("7", true)], sameText)).toBe(true);
    expect(majorityIsCorrect([cut, cut], sameText)).toBe(false);
  });
});

test("scores are means over problems and samples", () => {
  const groups = [
    [sample("1", true, 4), sample("1", true, 6), sample("2", false, 8)],
    [sample("3", false, 10), sample("4", true, 20), sample("3", false, 30, "length")],
  ];
  expect(scoreSamples(groups, sameText)).toMatchObject({
    num_problems: 2,
    num_samples: 3,
    accuracy: expect.closeTo(0.5, 12),
    pass_at_k: { "1": expect.closeTo(0.5, 12), "2": expect.closeTo((1 + 2 / 3) / 2, 12), "3": expect.closeTo(1, 12) },
    majority: 0.5,
    mean_length: 13,
    clipped_ratio: 1 / 6,
  });
});

describe("bootstrap", () => {
  test("covers the mean of independent numbers about as often as it says", () => {
    let covered = 0;
    for (let trial = 0; trial < 200; trial++) {
      const values = Array.from({ length: 40 }, (_, i) => randomAt(5, trial, i) - 0.5);
      const [low, high] = bootstrapInterval(values);
      if (low <= 0 && 0 <= high) covered++;
    }
    expect(covered).toBeGreaterThan(175);
    expect(covered).toBeLessThan(200);
  });

  test("is the same for the same values, and a point where they are equal", () => {
    expect(bootstrapInterval([1, 2, 3, 4])).toEqual(bootstrapInterval([1, 2, 3, 4]));
    expect(bootstrapInterval([2, 2, 2])).toEqual([2, 2]);
  });
});

test("a cutoff costs its limit and loses what is longer", () => {
  const responses = [sample("1", true, 10), sample("1", true, 30), sample("2", false, 50)];
  expect(scoreAtCutoff(responses, 30)).toEqual({ accuracy: 2 / 3, mean_length: 70 / 3, clipped_ratio: 1 / 3 });
  expect(scoreAtCutoff(responses, 29)).toEqual({ accuracy: 1 / 3, mean_length: 68 / 3, clipped_ratio: 2 / 3 });
});

test("intervals over seeds are Student's", () => {
  // 1, 2, 3: standard error 1 / sqrt(3), t(2) = 4.303.
  const { mean, half } = meanInterval([1, 2, 3]);
  expect(mean).toBe(2);
  expect(half).toBeCloseTo(4.303 / Math.sqrt(3), 12);
  expect(meanInterval([5])).toEqual({ mean: 5, half: 0 });
});

test("a running mean looks back", () => {
  expect(runningMean([1, 2, 3, 4], 2)).toEqual([1, 1.5, 2.5, 3.5]);
});
