import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  groupAdvantages,
  groupNormalisedAdvantages,
  rlooAdvantages,
  shrinkageAdvantages,
  whiten,
} from "../../src/core/advantage.ts";
import { tokenWeights } from "../../src/core/aggregation.ts";
import { microBatches, miniBatches } from "../../src/core/batches.ts";
import type { Outcome } from "../../src/core/group.ts";
import { k1, rewardToGo } from "../../src/core/kl.ts";
import { lengthRewards } from "../../src/core/length-rewards/sigmoid.ts";
import { philox, randomAt, shuffledIndices } from "../../src/core/rng.ts";
import { largestStage, learningRateFactor, stageAt } from "../../src/core/schedule.ts";
import { loadTokenizer } from "../../src/hf/tokenizer.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";

const LENGTHS = [900, 1100, 1500, 2000, 2600, 3200, 4000, 8000];

const group = (lengths: number[], correct: number[]): Outcome[] =>
  lengths.map((length, i) => ({ length, correct: correct[i] === 1, finishReason: "stop" }));

function expectVector(got: number[], want: number[]): void {
  expect(got.length).toBe(want.length);
  got.forEach((value, i) => expect(Math.abs(value - want[i]!)).toBeLessThan(1e-7));
}

describe("length reward and RLOO, vectors computed by hand from the paper's equations", () => {
  test("all correct (V1)", () => {
    const rewards = lengthRewards(group(LENGTHS, Array(8).fill(1)), 0.1);
    expectVector(
      rewards,
      [0.97172106, 0.96980814, 0.96577314, 0.96039568, 0.95360656, 0.94668108, 0.93768578, 0.9086853],
    );
    expectVector(
      rlooAdvantages(rewards),
      [0.0227731, 0.02058691, 0.01597549, 0.00982982, 0.00207082, -0.00584402, -0.01612436, -0.04926776],
    );
  });

  test("four of eight correct (V2)", () => {
    const rewards = lengthRewards(group(LENGTHS, [1, 1, 0, 1, 0, 1, 0, 0]), 0.1);
    expectVector(rewards, [0.97292592, 0.96836668, 0, 0.94451732, 0, 0.91763392, 0, 0]);
    expectVector(
      rlooAdvantages(rewards),
      [0.56856622, 0.56335566, -0.54334912, 0.53609924, -0.54334912, 0.50537536, -0.54334912, -0.54334912],
    );
  });

  test("one correct gets 1 - alpha / 2 (V3)", () => {
    const rewards = lengthRewards(group(LENGTHS, [0, 0, 0, 1, 0, 0, 0, 0]), 0.4);
    expectVector(rewards, [0, 0, 0, 0.8, 0, 0, 0, 0]);
    expectVector(rlooAdvantages(rewards), [...Array(3).fill(-0.11428571), 0.8, ...Array(4).fill(-0.11428571)]);
  });

  test("two correct (V4)", () => {
    const rewards = lengthRewards(group([100, 200, 300, 400, 500, 600, 700, 800], [1, 0, 0, 0, 0, 0, 0, 1]), 0.2);
    expectVector(rewards, [0.94621172, 0, 0, 0, 0, 0, 0, 0.85378828]);
    expectVector(rlooAdvantages(rewards), [0.82424196, ...Array(6).fill(-0.25714286), 0.71861518]);
  });

  test("equal lengths (V5), none correct (V6), alpha 0 (V7)", () => {
    expectVector(lengthRewards(group([5, 5, 5], [1, 1, 1]), 0.2), [0.9, 0.9, 0.9]);
    expect(lengthRewards(group([5, 6, 7], [0, 0, 0]), 0.2)).toEqual([0, 0, 0]);
    expectVector(rlooAdvantages(lengthRewards(group([5, 6, 7, 8], [1, 0, 1, 1]), 0)), [1 / 3, -1, 1 / 3, 1 / 3]);
  });

  test("whitening over all tokens (V8)", () => {
    const advantages = [
      ...rlooAdvantages(lengthRewards(group([2, 4], [1, 0]), 0.1)),
      ...rlooAdvantages(lengthRewards(group([3, 3], [1, 1]), 0.1)),
    ];
    expectVector(advantages, [0.95, -0.95, 0, 0]);
    const tokens = whiten(advantages.map((a, i) => Array<number>([2, 4, 3, 3][i]!).fill(a)));
    expectVector(
      tokens.map((t) => t[0]!),
      [1.69774938, -1.21267813, 0.24253563, 0.24253563],
    );
  });

  test("KL as reward-to-go (V9)", () => {
    expectVector(rewardToGo(0.5, [0.2, -0.1, 0.3], 1e-3), [0.4996, 0.4998, 0.4997]);
    expectVector(k1([-1, -2], [-1.5, -1]), [0.5, -1]);
  });

  test("normalising by the group's deviation cancels alpha (V10, the paper's section 5.4)", () => {
    for (const alpha of [0.05, 0.4]) {
      const got = groupNormalisedAdvantages(lengthRewards(group(LENGTHS, Array(8).fill(1)), alpha));
      [1.0159, 0.9184, 0.7127, 0.4385, 0.0924, -0.2607, -0.7193, -2.1978].forEach((want, i) =>
        expect(got[i]).toBeCloseTo(want, 4),
      );
    }
  });

  test("a response that was cut off is wrong and outside the statistics", () => {
    const whole = group([100, 200, 300], [1, 1, 0]);
    const cut: Outcome = { length: 9000, correct: true, finishReason: "length" };
    expect(lengthRewards([...whole, cut], 0.3)).toEqual([...lengthRewards(whole, 0.3), 0]);
  });

  test("bounds: 0, or between 1 - alpha and 1; a shorter correct response never earns less; advantages sum to 0", () => {
    const completion = fc.record({
      length: fc.integer({ min: 1, max: 40000 }),
      correct: fc.boolean(),
      finishReason: fc.constantFrom("stop" as const, "length" as const),
    });
    fc.assert(
      fc.property(
        fc.array(completion, { minLength: 2, maxLength: 16 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (completions, alpha) => {
          const rewards = lengthRewards(completions, alpha);
          completions.forEach((a, i) => {
            const right = a.correct && a.finishReason === "stop";
            expect(rewards[i]! >= (right ? 1 - alpha : 0) && rewards[i]! <= (right ? 1 : 0)).toBe(true);
            completions.forEach((b, j) => {
              if (right && b.correct && b.finishReason === "stop" && a.length < b.length)
                expect(rewards[i]!).toBeGreaterThanOrEqual(rewards[j]!);
            });
          });
          expect(Math.abs(rlooAdvantages(rewards).reduce((x, y) => x + y, 0))).toBeLessThan(1e-12);
        },
      ),
    );
  });
});

const shared = new URL("../../../shared/data", import.meta.url).pathname;

test.skipIf(!existsSync(shared))(
  "real rollouts: 100 MATH problems x 8 responses [skipped where ../shared is absent]",
  async () => {
    const tokenizer = await loadTokenizer(nodeFiles, `${shared}/tokenizer/qwen2.5`);
    const rows = readFileSync(`${shared}/rollouts/math_cot_100.jsonl`, "utf8").trim().split("\n");
    expect(rows.length).toBe(100);
    const counts = new Set<number>();
    for (const row of rows) {
      const { code, score } = JSON.parse(row) as { code: string[]; score: boolean[] };
      const completions = code.map((text, i): Outcome => {
        const length = tokenizer.encode(text, { addSpecialTokens: false }).length + 1;
        return { length, correct: score[i]!, finishReason: "stop" };
      });
      const alpha = 0.2;
      const rewards = lengthRewards(completions, alpha);
      const right = completions.flatMap((c, i) => (c.correct ? [{ length: c.length, reward: rewards[i]! }] : []));
      counts.add(right.length);
      completions.forEach((c, i) => c.correct || expect(rewards[i]).toBe(0));
      if (right.length === 1) expect(right[0]!.reward).toBeCloseTo(1 - alpha / 2, 12);
      right.sort((a, b) => a.length - b.length);
      right.forEach((r, i) => i > 0 && expect(r.reward <= right[i - 1]!.reward).toBe(true));
      expect(Math.abs(rlooAdvantages(rewards).reduce((x, y) => x + y, 0))).toBeLessThan(1e-12);
    }
    expect(counts.has(0) && counts.has(1) && counts.has(8)).toBe(true);
  },
);

describe("plans", () => {
  test("mini-batches hold every response once; micro-batches keep the budget", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(
        lengths,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 2000 }),
        fc.nat(),
        (sizes, numSteps, budget, seed) => {
          const steps = miniBatches(sizes.length, numSteps, seed, 3);
          expect(steps.flat().sort((a, b) => a - b)).toEqual(sizes.map((_, i) => i));
          for (const step of steps) {
            const micro = microBatches(step, sizes, budget);
            expect(micro.flat().sort((a, b) => a - b)).toEqual([...step].sort((a, b) => a - b));
            for (const batch of micro)
              expect(batch.length === 1 || batch.reduce((n, i) => n + sizes[i]!, 0) <= budget).toBe(true);
            const weights = tokenWeights(
              step.map((i) => sizes[i]!),
              "grpo",
              100,
            );
            expect(step.reduce((sum, i, b) => sum + sizes[i]! * weights[b]!, 0)).toBeCloseTo(1, 10);
          }
        },
      ),
    );
    expect(tokenWeights([1, 3], "dapo", 10)).toEqual([0.25, 0.25]);
    expect(tokenWeights([1, 3], "cispo", 10)).toEqual([0.25, 0.25]);
    expect(tokenWeights([1, 4], "grpo", 10)).toEqual([0.5, 0.125]);
    expect(tokenWeights([1, 4], "dr_grpo", 10)).toEqual([0.05, 0.05]);
    expect(tokenWeights([1, 4], "grpo", 10, [true, false])).toEqual([0.5, 0]);
    expect(tokenWeights([1, 4], "dr_grpo", 10, [true, false])).toEqual([0.05, 0]);
    expect(tokenWeights([1, 4], "dapo", 10, [true, false])).toEqual([1, 0]);
    expect(tokenWeights([1, 4], "dapo", 10, [false, false])).toEqual([0, 0]);
  });

  test("learning rate: the first update is 0, then k / 6, then constant, or cosine down to a tenth", () => {
    const plan = { warmupSteps: 6, totalSteps: 200 };
    const factors = [0, 1, 5, 6, 199].map((step) => learningRateFactor("constant_with_warmup", step, plan));
    expect(factors).toEqual([0, 1 / 6, 5 / 6, 1, 1]);
    expect(learningRateFactor("cosine", 6, plan)).toBe(1);
    expect(learningRateFactor("cosine", 103, plan)).toBeCloseTo(0.55, 10);
    expect(learningRateFactor("cosine", 200, plan)).toBeCloseTo(0.1, 10);
  });

  test("Philox's known answers (Random123's kat_vectors)", () => {
    expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    const ones = 0xffffffff;
    expect(philox([ones, ones, ones, ones], [ones, ones])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  });

  test("uniform numbers are uniform, and shuffles are permutations that depend on their key", () => {
    const values = Array.from({ length: 10000 }, (_, i) => randomAt(5, 1, i));
    expect(values.reduce((a, b) => a + b, 0) / values.length).toBeCloseTo(0.5, 1);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeLessThan(1);
    const order = shuffledIndices(100, 5, 1);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(order).toEqual(shuffledIndices(100, 5, 1));
    expect(order).not.toEqual(shuffledIndices(100, 5, 2));
  });
});

describe("what a reward is compared with", () => {
  const groups = [
    [1, 1, 0, 1],
    [0, 0, 0, 1],
    [1, 0, 1, 0],
  ];
  const options = { scaleRewards: "none" } as const;

  test("shrinkage, by an independent script", () => {
    const want = [
      [0.5735267, 0.5735267, -0.4852999, 0.5735267],
      [-0.5735267, -0.5735267, -0.5735267, 0.4852999],
      [0.583334, -0.583334, 0.583334, -0.583334],
    ];
    groupAdvantages(groups, { advantage: "shrinkage", ...options }).forEach((advantages, g) =>
      advantages.forEach((a, i) => expect(Math.abs(a - want[g]![i]!)).toBeLessThan(1e-6)),
    );
  });

  test("a prompt's rewards change its own shrinkage only as leave-one-out does: by what others got", () => {
    const before = shrinkageAdvantages(groups);
    const changed = shrinkageAdvantages([[0.5, 1, 0, 1], ...groups.slice(1)]);
    // Response 0 of prompt 0 got half as much: its own baseline is as before.
    expect(changed[0]![0]! - before[0]![0]!).toBeCloseTo(-0.5, 12);
  });

  test("a single prompt, or a single response, is compared as by leave-one-out", () => {
    expect(shrinkageAdvantages([[1, 0, 0]])).toEqual([rlooAdvantages([1, 0, 0])]);
    expect(shrinkageAdvantages([[1], [0]])).toEqual([[0], [0]]);
  });

  test("the prompt's mean and the iteration's", () => {
    expect(groupAdvantages(groups, { advantage: "grpo", ...options })[1]).toEqual([-0.25, -0.25, -0.25, 0.75]);
    const batch = groupAdvantages(groups, { advantage: "batch", ...options });
    expect(batch[1]).toEqual([-0.5, -0.5, -0.5, 0.5]);
    expect(groupAdvantages(groups, { advantage: "rloo", ...options })).toEqual(groups.map(rlooAdvantages));
  });

  test.each(["rloo", "grpo", "batch", "shrinkage"] as const)("%s, divided by the prompt's deviation", (advantage) => {
    const scaled = groupAdvantages([...groups, [1, 1, 1, 1]], { advantage, scaleRewards: "group" });
    expect(scaled[3]).toEqual([0, 0, 0, 0]);
    const plain = groupAdvantages([...groups, [1, 1, 1, 1]], {
      advantage: advantage === "rloo" ? "grpo" : advantage,
      ...options,
    });
    scaled[2]!.forEach((a, i) => expect(a).toBeCloseTo(plain[2]![i]! / 0.5, 12));
  });
});

describe("stages", () => {
  test("the last one that has begun holds", () => {
    const stages = [
      [0, 4000],
      [50, 3000],
    ] as const;
    expect([0, 49, 50, 99].map((iteration) => stageAt(stages, iteration))).toEqual([4000, 4000, 3000, 3000]);
    expect(largestStage(stages)).toBe(4000);
    expect([stageAt(7, 3), largestStage(7)]).toEqual([7, 7]);
  });
});
