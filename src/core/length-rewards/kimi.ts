import { isCorrect, scoreOf, type Group } from "../group.ts";

/** The paper does not print the weight; it is 0 in an early phase and constant afterwards. */
export const KIMI = { weight: 1 };

/**
 * Kimi k1.5: R = c + weight term, term = lambda for a correct response and min(0, lambda) for a wrong one, with
 * lambda = 1/2 - (L - shortest) / (longest - shortest) over all of the group, right or wrong; 0 where all are equally long.
 * It needs no correct response, so it shortens what is wrong throughout, too.
 *
 * Source: "Kimi k1.5: Scaling Reinforcement Learning with LLMs", length penalty.
 */
export function kimiRewards(group: Group, { weight }: typeof KIMI): number[] {
  const lengths = group.map(({ length }) => length);
  const shortest = Math.min(...lengths);
  const span = Math.max(...lengths) - shortest;
  return group.map((outcome) => {
    const lambda = span === 0 ? 0 : 1 / 2 - (outcome.length - shortest) / span;
    return scoreOf(outcome) + weight * (isCorrect(outcome) ? lambda : Math.min(0, lambda));
  });
}
