import { linearBackwardInput, linearBackwardWeight, linearForward } from "./linear.ts";
import { logSumExp } from "./logprob.ts";

interface Head {
  hidden: Float64Array;
  weight: Float64Array;
  targets: ArrayLike<number>;
  temperature: number;
  inputs: number;
  vocabulary: number;
}

/** KL(policy, reference) per token from d = logprob - ref, and its derivative. */
const KL: Record<string, (d: number) => [value: number, derivative: number]> = {
  none: () => [0, 0],
  k1: (d) => [d, 1],
  k2: (d) => [d ** 2 / 2, d],
  k3: (d) => [Math.exp(-d) - 1 + d, 1 - Math.exp(-d)],
};

/** Per token the clipped loss, the ratio and d loss / d logprob; with `sequences`, first rows and an end, one ratio for each. */
export function policyGradientLoss({
  logprob,
  weights,
  advantages,
  oldLogprobs,
  refLogprobs,
  sequences,
  epsilon,
  epsilonHigh,
  delta = Infinity,
  cispo = false,
  beta,
  klEstimator,
}: {
  logprob: Float64Array;
  weights: Float64Array;
  advantages: Float64Array;
  oldLogprobs: Float64Array;
  refLogprobs: Float64Array;
  sequences?: ArrayLike<number> | undefined;
  epsilon: number;
  epsilonHigh?: number | undefined;
  delta?: number | undefined;
  cispo?: boolean | undefined;
  beta: number;
  klEstimator: string;
}): { loss: Float64Array; ratio: Float64Array; coefficient: Float64Array } {
  const rows = logprob.length;
  const loss = new Float64Array(rows);
  const ratio = new Float64Array(rows).fill(1);
  const coefficient = new Float64Array(rows);
  for (const tokens of trainedTokens(weights, sequences)) {
    const mean = tokens.reduce((sum, t) => sum + logprob[t]! - oldLogprobs[t]!, 0) / tokens.length;
    const r = Math.exp(mean);
    let pull = 0; // d loss without its KL terms / d mean
    for (const t of tokens) {
      const [w, advantage] = [weights[t]!, advantages[t]!];
      const [kl, dkl] = KL[klEstimator]!(logprob[t]! - refLogprobs[t]!);
      ratio[t] = r;
      coefficient[t] = w * beta * dkl;
      if (cispo) {
        const held = Math.min(r, epsilonHigh ?? 1 + epsilon) * advantage;
        loss[t] = w * (-held * logprob[t]! + beta * kl);
        coefficient[t]! -= w * held;
      } else {
        const unclipped = Math.min(r, delta) * advantage;
        const clipped = Math.min(Math.max(r, 1 - epsilon), 1 + (epsilonHigh ?? epsilon)) * advantage;
        loss[t] = w * (-Math.min(unclipped, clipped) + beta * kl);
        if (unclipped <= clipped && r <= delta) pull -= w * unclipped;
      }
    }
    for (const t of tokens) coefficient[t]! += pull / tokens.length;
  }
  return { loss, ratio, coefficient };
}

/** The trained tokens that share a ratio: those of a sequence, or each by itself. */
function trainedTokens(weights: Float64Array, sequences: ArrayLike<number> | undefined): number[][] {
  const trained = Array.from(weights.keys()).filter((t) => weights[t] !== 0);
  if (!sequences) return trained.map((t) => [t]);
  return Array.from({ length: sequences.length - 1 }, (_, s) =>
    trained.filter((t) => t >= sequences[s]! && t < sequences[s + 1]!),
  );
}

/** Per token -w logprob and its derivative with respect to logprob. */
export function crossEntropyLoss({ logprob, weights }: { logprob: Float64Array; weights: Float64Array }): {
  loss: Float64Array;
  coefficient: Float64Array;
} {
  return { loss: logprob.map((value, t) => -weights[t]! * value), coefficient: weights.map((w) => -w) };
}

/** Per pair of sequences 2p (chosen) and 2p + 1 (rejected): DPO's loss at the pair's first row, its margin, and d loss / d logprob. */
export function preferenceLoss({
  logprob,
  refLogprobs,
  weights,
  bounds,
  beta,
  gamma,
  pairWeight,
}: {
  logprob: Float64Array;
  refLogprobs: Float64Array;
  weights: Float64Array;
  bounds: ArrayLike<number>;
  beta: number;
  gamma: number;
  pairWeight: number;
}): { loss: Float64Array; margin: Float64Array; coefficient: Float64Array } {
  const loss = new Float64Array(logprob.length);
  const coefficient = new Float64Array(logprob.length);
  const margin = new Float64Array((bounds.length - 1) / 2);
  for (let p = 0; p < margin.length; p++) {
    const [start, split, end] = [bounds[2 * p]!, bounds[2 * p + 1]!, bounds[2 * p + 2]!];
    const sign = (t: number) => (t < split ? 1 : -1);
    for (let t = start; t < end; t++) {
      if (weights[t] !== 0) margin[p]! += beta * sign(t) * weights[t]! * (logprob[t]! - refLogprobs[t]!);
    }
    const m = margin[p]! - gamma;
    loss[start] = pairWeight * Math.log1p(Math.exp(-m));
    for (let t = start; t < end; t++) coefficient[t] = (-sign(t) * weights[t]! * pairWeight * beta) / (1 + Math.exp(m));
  }
  return { loss, margin, coefficient };
}

/** From d loss / d logprob [T] to the hidden states [T, C] and the head's weight [V, C]. */
export function headBackward({
  hidden,
  weight,
  targets,
  temperature,
  inputs,
  vocabulary,
  coefficient,
}: Head & { coefficient: Float64Array }): { dhidden: Float64Array; dweight: Float64Array } {
  const dlogits = linearForward({ x: hidden, weight, inputs, outputs: vocabulary });
  for (let t = 0; t < coefficient.length; t++) {
    const row = dlogits.subarray(t * vocabulary, (t + 1) * vocabulary);
    const lse = logSumExp(row.map((logit) => logit / temperature));
    row.forEach((logit, v) => {
      const p = Math.exp(logit / temperature - lse);
      row[v] = (coefficient[t]! * ((targets[t] === v ? 1 : 0) - p)) / temperature;
    });
  }
  return {
    dhidden: linearBackwardInput({ dy: dlogits, weight, inputs, outputs: vocabulary }),
    dweight: linearBackwardWeight({ x: hidden, dy: dlogits, inputs, outputs: vocabulary }),
  };
}
