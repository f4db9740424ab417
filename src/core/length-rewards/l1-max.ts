import { scoreOf, type Group } from "../group.ts";

export const L1_MAX = { alpha: 3e-4, delta: 0.5 };

/**
 * L1 Max: R = c clip(alpha (target - L) + delta, 0, 1): the target is a maximum, gently.
 *
 * Source: "L1: Controlling How Long A Reasoning Model Thinks With Reinforcement Learning", eq. 2. Its code has half the slope.
 *
 * @param target tokens that the prompt allows
 */
export function l1MaxRewards(group: Group, { alpha, delta }: typeof L1_MAX, target: number): number[] {
  return group.map((outcome) => scoreOf(outcome) * Math.min(1, Math.max(0, alpha * (target - outcome.length) + delta)));
}
