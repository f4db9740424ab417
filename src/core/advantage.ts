/**
 * How advantages are normalised. "none": as the paper demands (section 5.4). "batch": over all response tokens of the
 * iteration, which is what the released code does. "group": by the standard deviation of a prompt's rewards, as GRPO
 * (figure 6's ablation); it cancels alpha where all of a group are correct.
 */
export const SCALE_REWARDS = ["none", "batch", "group"] as const;
export type ScaleRewards = (typeof SCALE_REWARDS)[number];

/**
 * What a reward is compared with. "rloo": the mean of the prompt's other responses (the paper). "shrinkage": that mean, drawn
 * towards the other prompts' (`shrinkageAdvantages`). "grpo": the mean of all of the prompt's responses. "batch": the mean of
 * all responses of the iteration.
 */
export const ADVANTAGES = ["rloo", "shrinkage", "grpo", "batch"] as const;
export type Advantage = (typeof ADVANTAGES)[number];

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

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Keeps the weight finite where no prompt differs from another. */
const EPSILON = 1e-6;

/**
 * The leave-one-out mean drawn towards the mean m of the other prompts by lambda = v / (v + s + 1e-6): v the mean over those
 * prompts of (unbiased variance / responses), s the mean squared distance of their means from m. Nothing of a prompt enters its
 * own lambda and m, so it stays unbiased; it helps most where a prompt has few responses ("Shrinking the Variance", Zeng, Zhou,
 * Arora and Zanette 2025). A single prompt has no others, and prompts with one response no variance: leave-one-out.
 */
export function shrinkageAdvantages(groups: readonly (readonly number[])[]): number[][] {
  const means = groups.map(meanOf);
  const noise = groups.map((rewards, j) => {
    const squares = rewards.reduce((sum, reward) => sum + (reward - means[j]!) ** 2, 0);
    return squares / (rewards.length - 1) / rewards.length;
  });
  return groups.map((rewards, j) => {
    if (groups.length < 2 || rewards.length < 2) return rlooAdvantages(rewards);
    const others = means.filter((_, i) => i !== j);
    const m = meanOf(others);
    const v = meanOf(noise.filter((_, i) => i !== j));
    const s = meanOf(others.map((other) => (other - m) ** 2));
    const lambda = v / (v + s + EPSILON);
    const sum = rewards.reduce((a, b) => a + b, 0);
    return rewards.map((reward) => {
      const others = (sum - reward) / (rewards.length - 1);
      return reward - ((1 - lambda) * others + lambda * m);
    });
  });
}

/** Each response's advantage, before any whitening over tokens; `groups` are the rewards of each prompt's responses. */
export function groupAdvantages(
  groups: readonly (readonly number[])[],
  { advantage, scaleRewards }: { advantage: Advantage; scaleRewards: ScaleRewards },
): number[][] {
  const against: Record<Advantage, () => number[][]> = {
    rloo: () => groups.map(rlooAdvantages),
    shrinkage: () => shrinkageAdvantages(groups),
    grpo: () => groups.map((rewards) => rewards.map((reward) => reward - meanOf(rewards))),
    batch: () => {
      const mean = meanOf(groups.flat());
      return groups.map((rewards) => rewards.map((reward) => reward - mean));
    },
  };
  if (scaleRewards !== "group") return against[advantage]();
  if (advantage === "rloo" || advantage === "grpo") return groups.map(groupNormalisedAdvantages);
  return against[advantage]().map((advantages, j) => {
    const mean = meanOf(groups[j]!);
    const std = Math.sqrt(meanOf(groups[j]!.map((reward) => (reward - mean) ** 2)));
    return advantages.map((a) => (std > 1e-12 ? a / std : 0));
  });
}

/** (G - m) / sqrt(max(v, 1e-8)) with mean and population variance over every token of every response. */
export function whiten(tokenAdvantages: readonly (readonly number[])[]): number[][] {
  const all = tokenAdvantages.flat();
  const mean = all.reduce((a, b) => a + b, 0) / all.length;
  const variance = all.reduce((sum, a) => sum + (a - mean) ** 2, 0) / all.length;
  const scale = 1 / Math.sqrt(Math.max(variance, VARIANCE_FLOOR));
  return tokenAdvantages.map((tokens) => tokens.map((a) => (a - mean) * scale));
}
