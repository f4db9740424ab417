import { linearForward } from "./linear.ts";

/** logprob of `targets`, lse and entropy, each [T], of softmax(hidden W^T / temperature); hidden [T, C], weight [V, C]. */
export function logprobForward({
  hidden,
  weight,
  targets,
  temperature,
  inputs,
  vocabulary,
}: {
  hidden: Float64Array;
  weight: Float64Array;
  targets: ArrayLike<number>;
  temperature: number;
  inputs: number;
  vocabulary: number;
}): { logprob: Float64Array; lse: Float64Array; entropy: Float64Array } {
  const rows = targets.length;
  const z = linearForward({ x: hidden, weight, inputs, outputs: vocabulary }).map((logit) => logit / temperature);
  const result = { logprob: new Float64Array(rows), lse: new Float64Array(rows), entropy: new Float64Array(rows) };
  for (let t = 0; t < rows; t++) {
    const row = z.subarray(t * vocabulary, (t + 1) * vocabulary);
    const lse = logSumExp(row);
    result.lse[t] = lse;
    result.logprob[t] = row[targets[t]!]! - lse;
    result.entropy[t] = row.reduce((sum, value) => sum - Math.exp(value - lse) * (value - lse), 0);
  }
  return result;
}

export function logSumExp(z: Float64Array): number {
  const largest = z.reduce((a, b) => Math.max(a, b), -Infinity);
  return largest + Math.log(z.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}
