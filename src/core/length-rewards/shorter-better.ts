import { isCorrect, scoreOf, type Group } from "../group.ts";

/** What a correct response earns, and what a token off the target costs. */
export const SHORTER_BETTER = { correct: 2, per_token: 0.001 };

/**
 * ShorterBetter: R = correct c - per_token |L - target|, wrong responses too. The target is the group's shortest correct length,
 * and the mean of all lengths where none is correct.
 *
 * Source: "ShorterBetter: Guiding Reasoning Models to Find Optimal Inference Length for Efficient Reasoning".
 */
export function shorterBetterRewards(group: Group, { correct, per_token }: typeof SHORTER_BETTER): number[] {
  const right = group.filter(isCorrect).map(({ length }) => length);
  const mean = group.reduce((sum, { length }) => sum + length, 0) / group.length;
  const target = right.length > 0 ? Math.min(...right) : mean;
  return group.map((outcome) => correct * scoreOf(outcome) - per_token * Math.abs(outcome.length - target));
}
