import dlogit from "../../shaders/lib/dlogit.wgsl" with { type: "text" };
import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import source from "../../shaders/policy-gradient.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";
import { linearBackwardInput, linearBackwardWeight, linearLogits, SharedRows } from "./linear.ts";
import { vocabularyChunks } from "./logprob.ts";
import { packedDlogits } from "./policy-gradient-pack.ts";

const kernel = defineKernel({ name: "policy-gradient", source, includes: [exp, index, dlogit] });

/** Estimators of KL(policy, reference) per token, d = logprob - ref: k1 = d, k2 = d^2 / 2, k3 = exp(-d) - 1 + d. */
export type KlEstimator = "none" | "k1" | "k2" | "k3";

const KL_ESTIMATORS: readonly KlEstimator[] = ["none", "k1", "k2", "k3"];

/** What takes part in the clipped loss beyond PPO's own: without any of it the loss is PPO's. */
export interface ClipOptions {
  /** PPO's clip range: ratios below 1 - epsilon and above 1 + epsilonHigh are clipped. */
  epsilon: number;
  /** Default `epsilon`; for CISPO the cap of the ratio itself, default 1 + epsilon. */
  epsilonHigh?: number | undefined;
  /** Cap of the ratio where the advantage is negative (dual clip); none by default. */
  delta?: number | undefined;
  /** The ratio, capped, is held constant and weighs the log-probability. */
  cispo?: boolean | undefined;
}

/** Where nothing caps the ratio. */
const NO_CAP = 3.4028234e38;

/** What every loss on log-probabilities shares. */
export interface HeadTensors {
  /** f32 [T, C] */
  hidden: Tensor;
  /** The head, elem [V, C]. */
  weight: Tensor;
  /** u32 [T] */
  targets: Tensor;
  /** f32 [T], from logprobForward on the same tensors at the same temperature. */
  logprob: Tensor;
  lse: Tensor;
  temperature: number;
  /** f32 [T]: each token's share in the loss; 0 for tokens that are not trained. Carries the aggregation. */
  weights: Tensor;
  /** f32 [T], overwritten; the loss is its sum. */
  loss: Tensor;
  /** f32 [T], overwritten with d loss / d logprob. */
  coefficient: Tensor;
  /** f32 [T, C], overwritten. */
  dhidden: Tensor;
  /** f32 [V, C], added to; a frozen head has none. */
  dweight?: Tensor | undefined;
}

const tokenGroups = (tokens: number) => [Math.ceil(tokens / 64)] as const;

function checkShapes(op: string, tensors: HeadTensors, perToken: Record<string, Tensor>): number {
  const { hidden, weight, targets, logprob, lse, weights, loss, coefficient, dhidden, dweight } = tensors;
  const [tokens = 0, width = 0] = hidden.shape;
  const [vocabulary = 0] = weight.shape;
  const rows = { targets, logprob, lse, weights, loss, coefficient, ...perToken };
  const ok =
    [hidden, dhidden].every((tensor) => hasShape(tensor, tokens, width)) &&
    [weight, dweight].every((tensor) => hasShape(tensor, vocabulary, width)) &&
    Object.values(rows).every((tensor) => hasShape(tensor, tokens));
  check(ok, op, "hidden and dhidden [T, C], weight and dweight [V, C], all others [T]", {
    hidden,
    dhidden,
    weight,
    dweight,
    ...rows,
  });
  return tokens;
}

/**
 * The clipped policy gradient at the head, from the log-probabilities to the hidden states and the head's weight.
 * Per token loss = w (-min(min(r, delta) A, clip(r, 1 - epsilon, 1 + epsilonHigh) A) + beta kl(logprob - ref)),
 * r = exp(logprob - old); for CISPO w (-min(r, epsilonHigh) A logprob + beta kl), the ratio held constant. Where `sequences`
 * u32 [S + 1] are given, first rows of the sequences and the end of the last, r is one for all trained tokens of a sequence, exp of
 * their mean logprob - old. advantages, oldLogprobs and refLogprobs (unused where klEstimator is "none") are f32 [T]; `ratio` f32 [T] is overwritten
 * with r, 1 where the weight is 0. The logits exist a chunk of the vocabulary at a time, and become their own gradient.
 */
export function policyGradient(
  rec: Recorder,
  {
    advantages,
    oldLogprobs,
    refLogprobs,
    ratio,
    sequences,
    epsilon,
    epsilonHigh,
    delta,
    cispo = false,
    beta,
    klEstimator,
    ...head
  }: HeadTensors &
    ClipOptions & {
      advantages: Tensor;
      oldLogprobs: Tensor;
      refLogprobs: Tensor;
      ratio: Tensor;
      sequences?: Tensor | undefined;
      beta: number;
      klEstimator: KlEstimator;
    },
): void {
  const rows = checkShapes("policy_gradient", head, { advantages, oldLogprobs, refLogprobs, ratio });
  const { logprob, weights, loss, coefficient } = head;
  const count = (sequences?.size ?? 1) - 1;
  const kl = { beta, kl_estimator: KL_ESTIMATORS.indexOf(klEstimator) };
  if (sequences) {
    check(hasShape(sequences, count + 1) && count > 0, "policy_gradient", "sequences [S + 1]", { sequences });
    rec.dispatch(kernel, "sequence_ratio", {
      params: { rows: count },
      buffers: { logprob, weights, old_logprobs: oldLogprobs, bounds: sequences, ratio },
      workgroups: [count],
    });
  }
  rec.dispatch(kernel, "policy_gradient_loss", {
    params: {
      rows,
      ratio_low: 1 - epsilon,
      ratio_high: 1 + (epsilonHigh ?? epsilon),
      ratio_cap: cispo ? (epsilonHigh ?? 1 + epsilon) : (delta ?? NO_CAP),
      cispo: Number(cispo),
      per_sequence: Number(sequences !== undefined),
      ...kl,
    },
    buffers: {
      logprob,
      weights,
      advantages,
      old_logprobs: oldLogprobs,
      ref_logprobs: refLogprobs,
      loss,
      ratio,
      coefficient,
    },
    workgroups: tokenGroups(rows),
  });
  if (sequences && !cispo) {
    rec.dispatch(kernel, "sequence_coefficient", {
      params: { rows: count, ...kl },
      buffers: { logprob, weights, ref_logprobs: refLogprobs, bounds: sequences, coefficient },
      workgroups: [count],
    });
  }
  headBackward(rec, head);
}

/** The gradient of the weighted cross-entropy, loss = -w logprob per token. */
export function crossEntropyGradient(rec: Recorder, head: HeadTensors): void {
  const rows = checkShapes("cross_entropy_gradient", head, {});
  const { logprob, weights, loss, coefficient } = head;
  rec.dispatch(kernel, "cross_entropy_loss", {
    params: { rows },
    buffers: { logprob, weights, loss, coefficient },
    workgroups: tokenGroups(rows),
  });
  headBackward(rec, head);
}

/**
 * The gradient of a preference loss: direct preference optimisation (Rafailov et al. 2023), or SimPO (Meng et al. 2024). Sequences
 * 2p and 2p + 1 are the chosen and the rejected response of pair p; `bounds` u32 [2 P + 1] are their first rows and the end of the
 * last. weights f32 [T] are 0 on prompts, and each other token's share in its response's log-probability: 1, or for SimPO
 * 1 / the response's tokens. refLogprobs f32 [T] are the reference's, for SimPO 0. The loss is `pairWeight` times the sum over pairs
 * of -log sigmoid(margin - gamma); margin f32 [P], overwritten, is beta times how much more the policy than the reference prefers the
 * chosen response.
 */
export function preferenceGradient(
  rec: Recorder,
  {
    refLogprobs,
    bounds,
    margin,
    beta,
    gamma,
    pairWeight,
    ...head
  }: HeadTensors & {
    refLogprobs: Tensor;
    bounds: Tensor;
    margin: Tensor;
    beta: number;
    gamma: number;
    pairWeight: number;
  },
): void {
  checkShapes("preference_gradient", head, { refLogprobs });
  const pairs = margin.size;
  check(
    hasShape(margin, pairs) && hasShape(bounds, 2 * pairs + 1),
    "preference_gradient",
    "margin [P], bounds [2 P + 1]",
    {
      margin,
      bounds,
    },
  );
  const { logprob, weights, loss, coefficient } = head;
  rec.dispatch(kernel, "preference_loss", {
    params: { rows: pairs, beta, gamma, pair_weight: pairWeight },
    buffers: { logprob, weights, ref_logprobs: refLogprobs, bounds, loss, coefficient, margin },
    workgroups: [pairs],
  });
  headBackward(rec, head);
}

/** From `coefficient` = d loss / d logprob to dhidden and dweight, a chunk of the vocabulary at a time. */
function headBackward(
  rec: Recorder,
  { hidden, weight, targets, lse, temperature, coefficient, dhidden, dweight }: HeadTensors,
): void {
  const { gpu } = rec;
  const [tokens = 0] = hidden.shape;
  const [vocabulary = 0] = weight.shape;
  const x = new SharedRows(hidden);
  for (const { row0, rows } of vocabularyChunks(vocabulary)) {
    const logits = gpu.empty([tokens, rows], "f32");
    linearLogits(rec, { x, weight, row0, rows, logits });
    const params = { rows: tokens, columns: rows, column0: row0, inverse_temperature: 1 / temperature };
    const buffers = { logits, targets, lse, coefficient };
    let dy: SharedRows;
    if (gpu.matrices && weight.dtype === "bf16") {
      dy = packedDlogits(rec, gpu.matrices, buffers, params);
      gpu.release(logits);
    } else {
      rec.dispatch(kernel, "policy_gradient_dlogits", { params, buffers, workgroups: [tokens] });
      dy = new SharedRows(logits);
    }
    linearBackwardInput(rec, { dy, weight, dx: dhidden, accumulate: row0 > 0, row0 });
    if (dweight) linearBackwardWeight(rec, { x, dy, dweight, row0, storage: weight.dtype });
    dy.releaseAll(rec);
  }
  x.release(rec);
}
