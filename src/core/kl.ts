/** k1, an unbiased estimate of KL(policy || reference) per sampled token: logprob - reference logprob. */
export const k1 = (logprobs: readonly number[], refLogprobs: readonly number[]): number[] =>
  logprobs.map((logprob, t) => logprob - refLogprobs[t]!);

/**
 * G_t = A - beta * sum of k1 from t on: the response's advantage with the KL penalty as undiscounted reward-to-go. The
 * penalty enters after the baseline, so it is never baselined (OpenRLHF's RLOO, which the paper's code uses).
 */
export function rewardToGo(advantage: number, kl: readonly number[], beta: number): number[] {
  const returns = Array.from(kl);
  let ahead = 0;
  for (let t = kl.length - 1; t >= 0; t--) {
    ahead += kl[t]!;
    returns[t] = advantage - beta * ahead;
  }
  return returns;
}
