import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import source from "../../shaders/policy-gradient.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";
import { linearBackwardInput, linearBackwardWeight, linearLogits } from "./linear.ts";
import { vocabChunks } from "./logprob.ts";

const kernel = defineKernel({ name: "policy-gradient", source, includes: [index] });

const GROUP = 64;

export const KL_ESTIMATORS = ["none", "k1", "k2", "k3"] as const;
export type KlEstimator = (typeof KL_ESTIMATORS)[number];

/** What every loss at the head reads and writes; [T] is f32 unless said otherwise. */
export interface HeadLoss {
  /** elem [T, C] */
  hidden: Tensor;
  /** The head, elem [V, C]. */
  weight: Tensor;
  /** u32 [T] */
  targets: Tensor;
  /** [T], from logprobForward at the same temperature. */
  logprob: Tensor;
  lse: Tensor;
  temperature: number;
  /** [T], each token's share in the loss; 0 leaves it out. */
  weights: Tensor;
  /** [T], overwritten; the sum is the loss. */
  loss: Tensor;
  /** [T], overwritten: d loss / d logprob. */
  coefficient: Tensor;
  /** [T, C], overwritten. */
  dhidden: Tensor;
  /** [V, C], added to. */
  dweight: Tensor;
}

/** Additional inputs of the policy loss, f32 [T]. */
export interface PolicyLoss extends HeadLoss {
  advantages: Tensor;
  oldLogprobs: Tensor;
  refLogprobs: Tensor;
  /** Overwritten: exp(logprob - oldLogprobs), 1 where the weight is 0. */
  ratio: Tensor;
  /** PPO's clip range (Schulman et al. 2017, eq. 7). */
  epsilon: number;
  /** Coefficient of the KL estimate inside the loss. */
  beta: number;
  klEstimator: KlEstimator;
}

/** The clipped policy loss with an optional KL term, and its gradients, without a [T, V] buffer. */
export function policyGradient(rec: Recorder, options: PolicyLoss): void {
  const { targets, logprob, weights, advantages, oldLogprobs, refLogprobs, loss, ratio, coefficient } = options;
  const rows = options.hidden.shape[0]!;
  const vectors = { targets, logprob, weights, advantages, oldLogprobs, refLogprobs, loss, ratio, coefficient };
  check(Object.values(vectors).every((tensor) => hasShape(tensor, rows)), "policy_gradient", `vectors of [${rows}]`, vectors);
  rec.dispatch(kernel, "policy_loss", {
    params: { rows, kl_estimator: KL_ESTIMATORS.indexOf(options.klEstimator), epsilon: options.epsilon, beta: options.beta },
    buffers: { logprob, weights, advantages, old_logprobs: oldLogprobs, ref_logprobs: refLogprobs, loss, ratio, coefficient },
    workgroups: [Math.ceil(rows / GROUP)],
  });
  headGradient(rec, options);
}

/** Weighted cross-entropy, loss[t] = -weights[t] logprob[t], and its gradients, without a [T, V] buffer. */
export function crossEntropyGradient(rec: Recorder, options: HeadLoss): void {
  const { targets, logprob, weights, loss, coefficient } = options;
  const rows = options.hidden.shape[0]!;
  const vectors = { targets, logprob, weights, loss, coefficient };
  check(Object.values(vectors).every((tensor) => hasShape(tensor, rows)), "cross_entropy_gradient", `vectors of [${rows}]`, vectors);
  rec.dispatch(kernel, "supervised_loss", {
    params: { rows },
    buffers: { logprob, weights, loss, coefficient },
    workgroups: [Math.ceil(rows / GROUP)],
  });
  headGradient(rec, options);
}

/** From coefficient = d loss / d logprob to the gradients of hidden states and head, one chunk of the vocabulary at a time. */
function headGradient(rec: Recorder, { hidden, weight, targets, lse, temperature, coefficient, dhidden, dweight }: HeadLoss): void {
  const rows = hidden.shape[0]!;
  for (const { first, columns } of vocabChunks(weight.shape[0]!)) {
    const logits = rec.gpu.empty([rows, columns], "f32");
    linearLogits(rec, { x: hidden, weight, row0: first, rows: columns, logits });
    rec.dispatch(kernel, "logits_gradient", {
      params: { rows, columns, first, inverse_temperature: 1 / temperature },
      buffers: { logits, lse, targets, saved_coefficient: coefficient },
      workgroups: [Math.ceil((rows * columns) / GROUP)],
    });
    linearBackwardInput(rec, { dy: logits, weight, dx: dhidden, accumulate: first > 0, row0: first });
    linearBackwardWeight(rec, { x: hidden, dy: logits, dweight, row0: first });
    rec.gpu.release(logits);
  }
}
