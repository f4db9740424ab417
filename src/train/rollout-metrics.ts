import type { Measured } from "../core/alpha-control.ts";
import { k1 } from "../core/kl.ts";
import type { Rollout } from "./rollouts.ts";

export const mean = (values: readonly number[]) =>
  values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;

/** What an iteration reports of its responses, a prompt's one after the other. */
export function rolloutMetrics(
  rollouts: readonly Rollout[],
  refLogprobs: readonly (readonly number[])[],
  groupSize: number,
) {
  const rewards = rollouts.map((rollout) => rollout.reward);
  const lengths = rollouts.map((rollout) => rollout.length);
  const terminated = rollouts.filter(({ finishReason }) => finishReason === "stop");
  const groups = Array.from({ length: rollouts.length / groupSize }, (_, g) =>
    rollouts.slice(g * groupSize, (g + 1) * groupSize),
  );
  const share = (holds: (group: readonly Rollout[]) => boolean) => mean(groups.map((group) => Number(holds(group))));
  const reward = mean(rewards);
  return {
    reward,
    reward_std: Math.sqrt(mean(rewards.map((r) => (r - reward) ** 2))),
    accuracy: mean(rollouts.map(({ correct }) => Number(correct))),
    "completions/mean_length": mean(lengths),
    "completions/max_length": Math.max(...lengths),
    "completions/mean_terminated_length": mean(terminated.map(({ length }) => length)),
    "completions/clipped_ratio": 1 - terminated.length / rollouts.length,
    frac_reward_zero_std: share((group) => group.every(({ reward: r }) => r === group[0]!.reward)),
    all_correct: share((group) => group.every(({ correct }) => correct)),
    all_zero: share((group) => group.every(({ correct }) => !correct)),
    kl: mean(rollouts.flatMap(({ logprobs }, i) => k1(logprobs, refLogprobs[i]!))),
    num_tokens: rollouts.reduce((sum, { promptTokenIds, length }) => sum + promptTokenIds.length + length, 0),
  };
}

/** What alpha is steered by. */
export function measure(groups: readonly (readonly Rollout[])[]): Measured {
  const rollouts = groups.flat();
  return {
    meanLength: mean(rollouts.map(({ length }) => length)),
    accuracy: mean(rollouts.map(({ correct }) => Number(correct))),
  };
}
