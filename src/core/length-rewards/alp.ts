import { isCorrect, scoreOf, type Group } from "../group.ts";

/** Published with group-normalised advantages; without them a beta near alpha / max_completion_length is felt. */
export const ALP = { beta: 1e-7 };

/**
 * Adaptive length penalty: R = c - beta L max(p, 1 / K), wrong responses too, with p the share of correct ones among the group's
 * K: tokens cost more where the problem is easy.
 *
 * Source: "Just Enough Thinking: Efficient Reasoning with Adaptive Length Penalties Reinforcement Learning", by summaries; L is
 * taken in tokens, as most of them have it.
 */
export function alpRewards(group: Group, { beta }: typeof ALP): number[] {
  const solved = group.filter(isCorrect).length / group.length;
  const price = beta * Math.max(solved, 1 / group.length);
  return group.map((outcome) => scoreOf(outcome) - price * outcome.length);
}
