import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Outcome } from "../../src/core/group.ts";
import { grpoLeadWeight } from "../../src/core/length-rewards/grpo-lead.ts";
import { shortestCorrect } from "../../src/core/length-rewards/hapo.ts";
import {
  LENGTH_REWARD_NAMES,
  LENGTH_REWARDS,
  type LengthRewardName,
  type Numbers,
  type RewardContext,
} from "../../src/core/length-rewards/index.ts";

const outcome = (length: number, correct: number, finishReason: Outcome["finishReason"] = "stop"): Outcome => ({
  length,
  correct: correct === 1,
  finishReason,
});

const A = [outcome(120, 1), outcome(200, 1), outcome(280, 0), outcome(400, 1)];
const B = [outcome(300, 1), outcome(100, 0), outcome(500, 0), outcome(512, 0, "length")];

const CONTEXT: RewardContext = {
  alpha: 0.2,
  maxLength: 512,
  reference: { initial: { meanLength: 250, accuracy: 0.5 }, record: 200, target: 256 },
};

/** From an independent script. */
const VECTORS: [LengthRewardName, Numbers, Partial<RewardContext>, number[], number[]][] = [
  ["sigmoid", {}, {}, [0.9469575, 0.9168227, 0, 0.8408893], [0.9, 0, 0, 0]],
  ["kimi", {}, {}, [1.5, 1.2142857, -0.0714286, 0.5], [1.0145631, 0, -0.4708738, -0.5]],
  ["o1_pruner", {}, {}, [2.0833333, 1.25, -1.1071429, 0.625], [0.8333333, 0.5, -1.5, -1.5117188]],
  ["l1_exact", {}, {}, [0.9592, 0.9832, -0.0072, 0.9568], [0.9868, -0.0468, -0.0732, -0.0768]],
  ["l1_max", {}, {}, [0.5408, 0.5168, 0, 0.4568], [0.4868, 0, 0, 0]],
  ["shorter_better", {}, {}, [2, 1.92, -0.16, 1.72], [2, -0.2, -0.2, -0.212]],
  ["alp", { beta: 1e-3 }, {}, [0.91, 0.85, -0.21, 0.7], [0.925, -0.025, -0.125, -0.128]],
  ["grpo_lead", { free_length: 0 }, {}, [1.04248, 1.0139641, -1, 0.9460404], [1, -1, -1, -1]],
  ["soft_overlong", { buffer: 200 }, { maxLength: 400 }, [1, 1, -0.4, 0], [0.5, 0, -1, -1]],
  ["cosine", {}, {}, [0.9352378, 0.8342225, -0.7133174, 0.5567474], [0.6833218, -0.9543962, -0.5006774, -0.5]],
  ["laser", { target: 200 }, {}, [1.5, 1.5, -0.5, 1], [1, -0.5, -0.5, -1]],
  ["hapo", {}, {}, [1.5877853, 1, -0.5877853, 0.3], [0.3, 0, -1, -1]],
  ["linear", {}, {}, [0.94375, 0.90625, -0.13125, 0.8125], [0.9633789, -0.012207, -0.0610352, -0.0625]],
];

test("every reward has its vectors", () => {
  expect(VECTORS.map(([name]) => name).toSorted()).toEqual(LENGTH_REWARD_NAMES.toSorted());
});

test.each(VECTORS)("%s %j gives the vectors", (name, options, context, a, b) => {
  for (const [group, want] of [
    [A, a],
    [B, b],
  ] as const) {
    const got = LENGTH_REWARDS[name].rewards(group, options, { ...CONTEXT, ...context });
    expect(got.length).toBe(want.length);
    got.forEach((reward, i) => expect(Math.abs(reward - want[i]!)).toBeLessThan(1e-6));
  }
});

test("the weight of GRPO-LEAD's advantages", () => {
  [1.4993919, 1.4926379, 1.416556, 0.95, 0.483444].forEach((want, i) =>
    expect(Math.abs(grpoLeadWeight(i / 4) - want)).toBeLessThan(1e-6),
  );
});

test("HAPO's record is the shortest correct length, and none without a correct response", () => {
  expect(shortestCorrect(null, B.slice(1))).toBeNull();
  expect(shortestCorrect(null, A)).toBe(120);
  expect(shortestCorrect(100, A)).toBe(100);
  expect(shortestCorrect(200, B)).toBe(200);
  expect(LENGTH_REWARDS.hapo.rewards(A, {}, { ...CONTEXT, reference: {} })).toEqual([1, 1, 0, 1]);
});

const MAX_LENGTH = CONTEXT.maxLength;
const response = fc
  .record({
    length: fc.integer({ min: 1, max: MAX_LENGTH }),
    correct: fc.integer({ min: 0, max: 1 }),
    cut: fc.boolean(),
  })
  .map(({ length, correct, cut }) => (cut ? outcome(MAX_LENGTH, correct, "length") : outcome(length, correct)));
const anyGroup = fc.array(response, { minLength: 1, maxLength: 12 });

/** Least and most of a reward over all groups of responses of 1 to 512 tokens in CONTEXT. */
const BOUNDS: Record<LengthRewardName, [number, number]> = {
  sigmoid: [0, 1],
  kimi: [-0.5, 1.5],
  o1_pruner: [250 / 512 - 2, 250],
  shorter_better: [-0.511, 2],
  grpo_lead: [-1, Math.exp(0.05 * Math.sqrt(12))],
  alp: [-512e-7, 1],
  cosine: [-1, 1],
  soft_overlong: [-1, 1],
  laser: [-1, 1.5],
  linear: [-0.25, 1],
  l1_exact: [-256 * 3e-4, 1],
  l1_max: [0, 1],
  hapo: [-1, 2],
};

/** Numbers under which 512 tokens are felt. */
const FELT: Partial<Record<LengthRewardName, Numbers>> = {
  grpo_lead: { free_length: 0 },
  soft_overlong: { buffer: 200 },
  laser: { target: 200 },
};

describe.each(LENGTH_REWARD_NAMES)("%s", (name) => {
  const rewardsOf = (group: readonly Outcome[]) => LENGTH_REWARDS[name].rewards(group, FELT[name] ?? {}, CONTEXT);

  test("stays within its bounds for any group: of one, all wrong, all equal, all cut off", () => {
    const [low, high] = BOUNDS[name];
    const within = (group: readonly Outcome[]) => {
      const rewards = rewardsOf(group);
      expect(rewards.length).toBe(group.length);
      for (const reward of rewards) {
        expect(reward).toBeGreaterThanOrEqual(low - 1e-9);
        expect(reward).toBeLessThanOrEqual(high + 1e-9);
      }
    };
    fc.assert(fc.property(anyGroup, within));
    const length = fc.integer({ min: 1, max: MAX_LENGTH });
    const n = fc.integer({ min: 1, max: 12 });
    fc.assert(fc.property(length, n, (l, count) => within(Array(count).fill(outcome(l, 1)))));
    fc.assert(fc.property(length, n, (l, count) => within(Array(count).fill(outcome(l, 0)))));
    fc.assert(fc.property(n, (count) => within(Array(count).fill(outcome(MAX_LENGTH, 1, "length")))));
  });

  test("does not depend on the order of the group", () => {
    fc.assert(
      fc.property(anyGroup, fc.nat(11), (group, by) => {
        const turn = <T>(items: readonly T[]) => [
          ...items.slice(by % items.length),
          ...items.slice(0, by % items.length),
        ];
        const turned = turn(rewardsOf(group));
        rewardsOf(turn(group)).forEach((reward, i) => expect(Math.abs(reward - turned[i]!)).toBeLessThan(1e-9));
      }),
    );
  });

  test("of a group's correct responses a longer one (for L1 Exact, one farther from its target) never earns more", () => {
    const distance = (length: number) => (name === "l1_exact" ? Math.abs(length - CONTEXT.reference.target!) : length);
    fc.assert(
      fc.property(anyGroup, (group) => {
        const rewards = rewardsOf(group);
        const right = group
          .map(({ length, correct, finishReason }, i) => ({
            length: distance(length),
            earns: rewards[i]!,
            right: correct && finishReason === "stop",
          }))
          .filter((entry) => entry.right)
          .toSorted((x, y) => x.length - y.length);
        for (let i = 1; i < right.length; i++) expect(right[i]!.earns).toBeLessThanOrEqual(right[i - 1]!.earns + 1e-9);
      }),
    );
  });

  test("a correct response earns at least as much as a wrong one of its length", () => {
    fc.assert(
      fc.property(anyGroup, (group) => {
        const rewards = rewardsOf(group);
        const wrong = group.findIndex(({ correct, finishReason }) => !correct && finishReason === "stop");
        group.forEach(({ length, correct, finishReason }, i) => {
          if (wrong < 0 || !correct || finishReason !== "stop" || length !== group[wrong]!.length) return;
          expect(rewards[i]).toBeGreaterThanOrEqual(rewards[wrong]! - 1e-9);
        });
      }),
    );
  });

  test("what a cut-off response says makes no difference", () => {
    const cut = (correct: number) => rewardsOf([...A, outcome(MAX_LENGTH, correct, "length")]);
    expect(cut(1)).toEqual(cut(0));
  });

  test("a graded score of 1 or 0 is a verdict", () => {
    const graded = (group: Outcome[]) => group.map((entry) => ({ ...entry, score: Number(entry.correct) }));
    expect(rewardsOf(graded(A))).toEqual(rewardsOf(A));
    expect(rewardsOf(graded(B))).toEqual(rewardsOf(B));
  });
});

describe("constants that a run would not feel", () => {
  const inert = (name: LengthRewardName, options: Numbers, maxLength: number, scaleRewards = "none") =>
    LENGTH_REWARDS[name].inert(options, { maxLength, scaleRewards });

  test("ALP's beta needs the division by the group's standard deviation, or a larger beta", () => {
    expect(inert("alp", {}, 32_000)).toBe(
      'beta = 1e-7 is at most 0.0032 over 32000 tokens, and was published with scale_rewards "group"; set beta near 0.1 / 32000',
    );
    expect(inert("alp", {}, 32_000, "group")).toBeNull();
    expect(inert("alp", { beta: 1e-5 }, 32_000)).toBeNull();
  });

  test("a target or a free length beyond the limit", () => {
    expect(inert("laser", {}, 256)).toBe("target = 4096 is not below the 256 tokens that a response may have");
    expect(inert("grpo_lead", {}, 4000)).toContain("free_length = 4000");
    expect(inert("grpo_lead", {}, 8000)).toBeNull();
  });

  test("the others are felt", () => {
    for (const name of ["sigmoid", "kimi", "o1_pruner", "cosine", "linear", "hapo", "shorter_better"] as const)
      expect(inert(name, {}, 256)).toBeNull();
  });
});
