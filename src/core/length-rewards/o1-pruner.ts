import { scoreOf, type Group } from "../group.ts";

export const O1_PRUNER = { lambda: 2 };

/** What the initial model does with a problem, over its samples, right and wrong alike. */
export interface InitialModel {
  /** Tokens. */
  meanLength: number;
  /** Share of correct responses. */
  accuracy: number;
}

/**
 * O1-Pruner: R = Lref / L - 1 + lambda (c - cref), with length and accuracy of the initial model on this problem. Not clamped:
 * a response of a tenth of the reference earns 9. Its source learns offline from it, with the reward as the advantage.
 *
 * Source: "O1-Pruner: Length-Harmonizing Fine-Tuning for O1-Like Reasoning Pruning"; lambda 2 is its 7B model's.
 */
export function o1PrunerRewards(group: Group, { lambda }: typeof O1_PRUNER, initial: InitialModel): number[] {
  return group.map(
    (outcome) => initial.meanLength / outcome.length - 1 + lambda * (scoreOf(outcome) - initial.accuracy),
  );
}
