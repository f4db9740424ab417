import { describe, expect, test } from "vitest";
import * as twin from "../../src/reference/sample.ts";
import { f64, randn, testGpu } from "../helpers/gpu.ts";
import { draw, PLAIN, type Options } from "../helpers/sample.ts";

/** Pearson's statistic in units of its standard deviation above its mean. */
function chiSquareExcess(counts: number[], probabilities: number[]): number {
  const total = counts.reduce((a, b) => a + b, 0);
  const statistic = counts.reduce(
    (sum, n, i) => sum + (n - total * probabilities[i]!) ** 2 / (total * probabilities[i]!),
    0,
  );
  const freedom = counts.length - 1;
  return (statistic - freedom) / Math.sqrt(2 * freedom);
}

describe("what sampleTokens draws", () => {
  const rows = 20_000;
  const vocabulary = 23;
  const row = randn(5, vocabulary, 1.5);
  const z = new Float32Array(rows * vocabulary).map((_, i) => row[i % vocabulary]!);

  const all = Array.from({ length: vocabulary }, () => true);

  const drawMany = async (options: Options, vary: "seed low" | "seed high" | "prompt" | "sample" | "position") => {
    const word = ["seed low", "seed high", "prompt", "sample"].indexOf(vary);
    const keys = new Uint32Array(4 * rows).fill(3).map((v, i) => (i % 4 === word ? i >>> 2 : v));
    const positions = new Uint32Array(rows).map((_, r) => (vary === "position" ? r : 8));
    const { tokens } = await draw(await testGpu(), z, { ...options, keys, positions });
    return tokens;
  };
  const count = (tokens: Uint32Array) => {
    const counts = Array.from({ length: vocabulary }, () => 0);
    for (const token of tokens) counts[token]!++;
    return counts;
  };
  const softmax = (kept: boolean[]) => {
    const weights = Array.from(row, (value, i) => (kept[i] ? Math.exp(value) : 0));
    const sum = weights.reduce((a, b) => a + b, 0);
    return weights.map((w) => w / sum);
  };

  test.each(["seed low", "seed high", "prompt", "sample", "position"] as const)(
    "is the softmax over rows that differ in %s",
    async (vary) => {
      const counts = count(await drawMany(PLAIN, vary));
      const probabilities = softmax(all);
      expect(Math.min(...probabilities) * rows).toBeGreaterThan(5); // or Pearson's statistic is no chi-square
      expect(Math.abs(chiSquareExcess(counts, probabilities))).toBeLessThan(3.5);
    },
  );

  test.each([
    { ...PLAIN, topK: 4 },
    { ...PLAIN, topP: 0.7 },
    { ...PLAIN, topK: 10, topP: 0.9 },
    { ...PLAIN, minP: 0.2 },
  ])("is the softmax over the kept tokens for $topK, $topP, $minP", async (options) => {
    const kept = twin.keptTokens({ z: f64(row), ...options });
    const counts = count(await drawMany(options, "sample"));
    expect(counts.map((n) => n > 0)).toEqual(kept);
    const only = <T>(values: T[]) => values.filter((_, i) => kept[i]);
    expect(Math.abs(chiSquareExcess(only(counts), only(softmax(kept))))).toBeLessThan(3.5);
  });

  test("successive positions are independent", async () => {
    const tokens = await drawMany(PLAIN, "position");
    const probabilities = softmax(all);
    const likely = probabilities.flatMap((p, i) => (p > 0.08 ? [i] : []));
    const pairs = likely.flatMap((a) => likely.map((b) => [a, b] as const));
    const counts = pairs.map(([a, b]) =>
      tokens.reduce((n, token, r) => n + (token === a && tokens[r + 1] === b ? 1 : 0), 0),
    );
    const joint = pairs.map(([a, b]) => probabilities[a]! * probabilities[b]!);
    const mass = joint.reduce((a, b) => a + b, 0);
    expect(pairs.length).toBeGreaterThan(8);
    expect(
      Math.abs(chiSquareExcess([...counts, rows - 1 - counts.reduce((a, b) => a + b, 0)], [...joint, 1 - mass])),
    ).toBeLessThan(3.5);
  });
});
