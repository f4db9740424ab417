import { expect, test } from "vitest";
import { logprobForward } from "../../src/reference/logprob.ts";
import { f64, randn } from "../helpers/gpu.ts";

test("equal logits: every token has probability 1 / V", () => {
  const { logprob, lse, entropy } = logprobForward({
    hidden: f64([1, 2]),
    weight: f64([3, 1, 3, 1, 3, 1, 3, 1]),
    targets: [2],
    temperature: 0.5,
    inputs: 2,
    vocabulary: 4,
  });
  expect(lse[0]).toBeCloseTo(10 + Math.log(4), 14);
  expect(logprob[0]).toBeCloseTo(-Math.log(4), 14);
  expect(entropy[0]).toBeCloseTo(Math.log(4), 14);
});

test("probabilities sum to 1, and the entropy is their mean -log p", () => {
  const [inputs, vocabulary] = [3, 11];
  const hidden = f64(randn(1, inputs));
  const weight = f64(randn(2, vocabulary * inputs));
  const of = (target: number) =>
    logprobForward({ hidden, weight, targets: [target], temperature: 0.7, inputs, vocabulary });
  const logprobs = Array.from({ length: vocabulary }, (_, target) => of(target).logprob[0]!);
  expect(logprobs.reduce((sum, l) => sum + Math.exp(l), 0)).toBeCloseTo(1, 14);
  expect(of(0).entropy[0]).toBeCloseTo(
    logprobs.reduce((sum, l) => sum - l * Math.exp(l), 0),
    14,
  );
});
