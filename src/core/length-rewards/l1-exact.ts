import { scoreOf, type Group } from "../group.ts";

export const L1_EXACT = { alpha: 3e-4 };

/**
 * L1 Exact: R = c - alpha |target - L|: a response is to be as long as its prompt asks for.
 *
 * Source: "L1: Controlling How Long A Reasoning Model Thinks With Reinforcement Learning", eq. 1.
 *
 * @param target tokens that the prompt asks for
 */
export function l1ExactRewards(group: Group, { alpha }: typeof L1_EXACT, target: number): number[] {
  return group.map((outcome) => scoreOf(outcome) - alpha * Math.abs(target - outcome.length));
}
