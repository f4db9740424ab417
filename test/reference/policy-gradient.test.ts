import { describe, expect, test } from "vitest";
import { logprobForward } from "../../src/reference/logprob.ts";
import {
  crossEntropyLoss,
  headBackward,
  policyGradientLoss,
  preferenceLoss,
} from "../../src/reference/policy-gradient.ts";
import { expectGradient } from "../helpers/finite-difference.ts";
import { f64, randn } from "../helpers/gpu.ts";

const [rows, inputs, vocabulary] = [6, 4, 7];
const head = {
  hidden: f64(randn(1, rows * inputs)),
  weight: f64(randn(2, vocabulary * inputs)),
  targets: [0, 6, 3, 3, 5, 1],
  temperature: 0.8,
  inputs,
  vocabulary,
};
// Ratios on both sides of the range and within it, with advantages of both signs: all away from the kinks.
const old = logprobForward(head).logprob.map((value, t) => value - [0.5, 0.5, -0.5, -0.5, 0.05, 0][t]!);
const policy = {
  weights: f64([0.3, 0.2, 0.1, 0.4, 0.25, 0]),
  advantages: f64([1, -1, 2, -2, 1.5, 3]),
  oldLogprobs: old,
  refLogprobs: old.map((value, t) => value + 0.3 * Math.sin(t)),
  epsilon: 0.2,
  beta: 0.1,
};

const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0);

describe.each(["none", "k1", "k2", "k3"])("KL estimator %s", (klEstimator) => {
  test("the gradients are those of the loss", () => {
    const run = () => policyGradientLoss({ logprob: logprobForward(head).logprob, klEstimator, ...policy });
    const { dhidden, dweight } = headBackward({ ...head, coefficient: run().coefficient });
    expectGradient(dhidden, () => sum(run().loss), head.hidden);
    expectGradient(dweight, () => sum(run().loss), head.weight);
  });
});

describe.each([
  { name: "clip higher", epsilonHigh: 0.9 },
  { name: "dual clip", delta: 1.4 },
  { name: "CISPO", cispo: true, epsilonHigh: 1.3 },
])("$name", ({ name: _, ...knobs }) => {
  test.each([undefined, [0, 2, 6]])("the gradients are those of the loss, with a ratio for each of %j", (sequences) => {
    // The ratio of CISPO is held: differences are taken of the log-probability that it weighs.
    const first = policyGradientLoss({
      logprob: logprobForward(head).logprob,
      klEstimator: "k3",
      ...policy,
      ...knobs,
      sequences,
    });
    const run = () => {
      const { logprob } = logprobForward(head);
      const now = policyGradientLoss({ logprob, klEstimator: "k3", ...policy, ...knobs, sequences });
      if (!knobs.cispo) return now.loss;
      return now.loss.map((loss, t) => {
        const held = (ratio: number) => Math.min(ratio, 1.3) * policy.weights[t]! * policy.advantages[t]! * logprob[t]!;
        return policy.weights[t] === 0 ? 0 : loss + held(now.ratio[t]!) - held(first.ratio[t]!);
      });
    };
    const { dhidden, dweight } = headBackward({ ...head, coefficient: first.coefficient });
    expectGradient(dhidden, () => sum(run()), head.hidden);
    expectGradient(dweight, () => sum(run()), head.weight);
  });
});

test("by hand: a ratio of 2 at the advantages 1 and -1", () => {
  const at = (advantage: number, knobs: object) => {
    const { loss, coefficient } = policyGradientLoss({
      logprob: f64([-1]),
      weights: f64([1]),
      advantages: f64([advantage]),
      oldLogprobs: f64([-1 - Math.LN2]),
      refLogprobs: f64([0]),
      epsilon: 0.2,
      beta: 0,
      klEstimator: "none",
      ...knobs,
    });
    return [loss[0]!, coefficient[0]!].map((value) => Number(value.toFixed(12)));
  };
  expect(at(1, {})).toEqual([-1.2, 0]);
  expect(at(-1, {})).toEqual([2, 2]);
  expect(at(1, { epsilonHigh: 1.5 })).toEqual([-2, -2]);
  expect(at(1, { epsilonHigh: 0.5 })).toEqual([-1.5, 0]);
  expect(at(-1, { delta: 1.5 })).toEqual([1.5, 0]);
  expect(at(-1, { delta: 3 })).toEqual([2, 2]);
  expect(at(1, { delta: 1.5 })).toEqual([-1.2, 0]);
  expect(at(1, { cispo: true, epsilonHigh: 5 })).toEqual([2, -2]);
  expect(at(-1, { cispo: true, epsilonHigh: 1.5 })).toEqual([-1.5, 1.5]);
});

test("a sequence's ratio is exp of its trained tokens' mean, and each of them carries the mean of the pull", () => {
  const { ratio, coefficient } = policyGradientLoss({
    logprob: f64([-1, -2, -3, -1]),
    weights: f64([0, 0.5, 0.5, 0.5]),
    advantages: f64([9, 1, 2, 1]),
    oldLogprobs: f64([-5, -2.1, -3, -1]),
    refLogprobs: f64([0, 0, 0, 0]),
    sequences: [0, 3, 4],
    epsilon: 0.2,
    beta: 0,
    klEstimator: "none",
  });
  const r = Math.exp(0.05);
  [1, r, r, 1].forEach((want, t) => expect(ratio[t]).toBeCloseTo(want, 12));
  [0, -0.75 * r, -0.75 * r, -0.5].forEach((want, t) => expect(coefficient[t]).toBeCloseTo(want, 12));
});

test("clipping stops the gradient only where it would push further out", () => {
  const logprob = logprobForward(head).logprob;
  const { coefficient, ratio } = policyGradientLoss({ logprob, klEstimator: "none", ...policy });
  expect(Array.from(coefficient, (c) => c !== 0)).toEqual([false, true, true, false, true, false]);
  expect(ratio[5]).toBe(1);
});

test("at the ends of the range the gradient passes", () => {
  const at = (r: number, advantage: number) =>
    policyGradientLoss({
      logprob: f64([Math.log(r)]),
      weights: f64([1]),
      advantages: f64([advantage]),
      oldLogprobs: f64([0]),
      refLogprobs: f64([0]),
      epsilon: Math.exp(Math.log(1.5)) - 1,
      beta: 0,
      klEstimator: "none",
    }).coefficient[0];
  expect(at(1.5, 2)).toBeCloseTo(-3, 12);
  expect(at(1.5 + 1e-9, 2)).toBeCloseTo(0, 12);
});

test("cross-entropy", () => {
  const weights = f64([0.3, 0.2, 0.1, 0.4, 0.25, 0]);
  const run = () => crossEntropyLoss({ logprob: logprobForward(head).logprob, weights });
  const { dhidden, dweight } = headBackward({ ...head, coefficient: run().coefficient });
  expectGradient(dhidden, () => sum(run().loss), head.hidden);
  expectGradient(dweight, () => sum(run().loss), head.weight);
});

describe("preferences", () => {
  const pairs = {
    refLogprobs: old,
    weights: f64([0, 1, 1, 0, 1, 1]),
    bounds: [0, 3, 6],
    beta: 0.7,
    gamma: 0,
    pairWeight: 0.5,
  };

  test("DPO's loss is the textbook's on log-probabilities made by hand", () => {
    // Chosen: -1 - 2 against the reference's -1.5 - 2.5; rejected: -3 against -2. Prompt tokens (weight 0) do not count.
    const { loss, margin } = preferenceLoss({
      logprob: f64([-9, -1, -2, -9, -3]),
      refLogprobs: f64([0, -1.5, -2.5, 0, -2]),
      weights: f64([0, 1, 1, 0, 1]),
      bounds: [0, 3, 5],
      beta: 0.1,
      gamma: 0,
      pairWeight: 1,
    });
    expect(margin[0]).toBeCloseTo(0.1 * (1 - -1), 14);
    expect(Array.from(loss)).toEqual([expect.closeTo(-Math.log(1 / (1 + Math.exp(-0.2))), 14), 0, 0, 0, 0]);
  });

  test("SimPO's loss compares means, and wants them gamma apart", () => {
    // A token of the chosen has -1.5 on average, the rejected's one -3.
    const { loss, margin } = preferenceLoss({
      logprob: f64([-9, -1, -2, -9, -3]),
      refLogprobs: f64([0, 0, 0, 0, 0]),
      weights: f64([0, 0.5, 0.5, 0, 1]),
      bounds: [0, 3, 5],
      beta: 2,
      gamma: 0.5,
      pairWeight: 1,
    });
    expect(margin[0]).toBeCloseTo(3, 14);
    expect(Array.from(loss)).toEqual([expect.closeTo(-Math.log(1 / (1 + Math.exp(-2.5))), 14), 0, 0, 0, 0]);
  });

  test.each([
    { gamma: 0, weights: f64([0, 1, 1, 0, 1, 1]) },
    { gamma: 0.4, weights: f64([0, 0.5, 0.5, 0, 0.25, 0.25]) },
  ])("the gradients are those of the loss, gamma $gamma", (change) => {
    const run = () => preferenceLoss({ logprob: logprobForward(head).logprob, ...pairs, ...change });
    const { dhidden, dweight } = headBackward({ ...head, coefficient: run().coefficient });
    expectGradient(dhidden, () => sum(run().loss), head.hidden);
    expectGradient(dweight, () => sum(run().loss), head.weight);
  });

  test("a policy that is its reference has the loss log 2", () => {
    const { loss, margin } = preferenceLoss({ logprob: old, ...pairs });
    expect(margin[0]).toBe(0);
    expect(sum(loss)).toBeCloseTo(0.5 * Math.LN2, 14);
  });
});
