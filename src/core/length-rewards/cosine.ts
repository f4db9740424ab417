import { scoreOf, type Group } from "../group.ts";

/** Rewards of a response of no tokens and of the longest allowed. */
export const COSINE = { correct_short: 1, correct_long: 0.5, wrong_short: -1, wrong_long: -0.5 };

/**
 * Cosine reward: half a cosine over t = L / longest allowed, from 1 down to 0.5 for a correct response and from -1 up to -0.5
 * for a wrong one: giving up early costs most. A graded score lies between the two curves.
 *
 * Source: "Demystifying Long Chain-of-Thought Reasoning in LLMs"; the numbers are TRL's.
 *
 * @param maxLength tokens allowed
 */
export function cosineRewards(group: Group, options: typeof COSINE, maxLength: number): number[] {
  return group.map((outcome) => {
    const t = Math.min(outcome.length / maxLength, 1);
    const between = (short: number, long: number) => long + ((short - long) * (1 + Math.cos(Math.PI * t))) / 2;
    const right = between(options.correct_short, options.correct_long);
    const wrong = between(options.wrong_short, options.wrong_long);
    return wrong + scoreOf(outcome) * (right - wrong);
  });
}
