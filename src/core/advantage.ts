/**
 * How advantages are normalised. "none": as the paper demands (section 5.4). "batch": over all response tokens of the
 * iteration, which is what the released code does. "group": by the standard deviation of a prompt's rewards, as GRPO
 * (figure 6's ablation); it cancels alpha where all of a group are correct.
 */
export const SCALE_REWARDS = ["none", "batch", "group"] as const;
export type ScaleRewards = (typeof SCALE_REWARDS)[number];

/** Below this variance, whitening leaves the scale alone rather than blowing noise up. */
const VARIANCE_FLOOR = 1e-8;

/** A_i = R_i - mean of the others (RLOO, Ahmadian et al. 2024): sums to 0 over the group. A lone response has advantage 0. */
export function rlooAdvantages(rewards: readonly number[]): number[] {
  const n = rewards.length;
  if (n < 2) return rewards.map(() => 0);
  const sum = rewards.reduce((a, b) => a + b, 0);
  return rewards.map((reward) => reward - (sum - reward) / (n - 1));
}

/** (R_i - mean) / std over the group, population standard deviation (GRPO, Shao et al. 2024); 0 where all rewards are equal. */
export function groupNormalisedAdvantages(rewards: readonly number[]): number[] {
  const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length;
  const std = Math.sqrt(rewards.reduce((sum, reward) => sum + (reward - mean) ** 2, 0) / rewards.length);
  return rewards.map((reward) => (std > 1e-12 ? (reward - mean) / std : 0));
}

/** (G - m) / sqrt(max(v, 1e-8)) with mean and population variance over every token of every response. */
export function whiten(tokenAdvantages: readonly (readonly number[])[]): number[][] {
  const all = tokenAdvantages.flat();
  const mean = all.reduce((a, b) => a + b, 0) / all.length;
  const variance = all.reduce((sum, a) => sum + (a - mean) ** 2, 0) / all.length;
  const scale = 1 / Math.sqrt(Math.max(variance, VARIANCE_FLOOR));
  return tokenAdvantages.map((tokens) => tokens.map((a) => (a - mean) * scale));
}
