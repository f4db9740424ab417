import { scoreOf, type Group } from "../group.ts";

/** Tokens before the limit over which the penalty grows, and its size at the limit. */
export const SOFT_OVERLONG = { buffer: 4096, factor: 1 };

/**
 * DAPO's soft overlong punishment: R = c up to `buffer` tokens before the limit, then falls in a line to c - factor at the limit
 * and stays there.
 *
 * Source: "DAPO: An Open-Source LLM Reinforcement Learning System at Scale", eq. 13; buffer 4096 of 20,480 there.
 *
 * @param maxLength tokens allowed
 */
export function softOverlongRewards(
  group: Group,
  { buffer, factor }: typeof SOFT_OVERLONG,
  maxLength: number,
): number[] {
  return group.map((outcome) => {
    const excess = outcome.length - (maxLength - buffer);
    return scoreOf(outcome) - (excess <= 0 ? 0 : factor * Math.min(1, excess / buffer));
  });
}
