import { scoreOf, type Group } from "../group.ts";

export const LINEAR = { weight: 0.25 };

/**
 * prime-rl's length penalty: R = c - mean(c) weight L / longest of the group. It scales with the share that is solved, as ALP's
 * does, but is large enough to be felt without a division by the standard deviation.
 *
 * Source: PrimeIntellect-ai/prime-rl, orchestrator/algo/grpo.py; its input tokens and turns are left out.
 */
export function linearRewards(group: Group, { weight }: typeof LINEAR): number[] {
  const longest = Math.max(...group.map(({ length }) => length));
  const mean = group.reduce((sum, outcome) => sum + scoreOf(outcome), 0) / group.length;
  return group.map((outcome) => scoreOf(outcome) - (mean * weight * outcome.length) / longest);
}
