import { isCorrect, scoreOf, type Group } from "../group.ts";

/** `target` in tokens; the paper's are 2048, 4096 and 8192. */
export const LASER = { target: 4096, bonus: 0.5, wrong: -0.5, cut_off: -1 };

/**
 * LASER: 1 for a correct response and `bonus` more within `target` tokens, `wrong` for a wrong one, `cut_off` for one cut off. A
 * graded score lies between `wrong` and 1.
 *
 * Source: "Learn to Reason Efficiently with Adaptive Length-based Reward Shaping". There an answer without a box counts as cut off.
 */
export function laserRewards(group: Group, { target, bonus, wrong, cut_off }: typeof LASER): number[] {
  return group.map((outcome) => {
    if (outcome.finishReason === "length") return cut_off;
    return wrong + (1 - wrong) * scoreOf(outcome) + (isCorrect(outcome) && outcome.length <= target ? bonus : 0);
  });
}
