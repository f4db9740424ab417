import { ConfigError } from "../errors.ts";

/** What an evaluation came to. */
export interface Scored {
  accuracy: number;
  /** Tokens of a response. */
  mean_length: number;
}

/** When a checkpoint is the best of a run: among those accurate enough, the one of the fewest tokens or the highest accuracy. */
export interface BestRule {
  /** Least accuracy: a number, or the initial model's plus one; null where any will do. */
  least: { relative: boolean; value: number } | null;
  goal: "fewest tokens" | "highest accuracy";
}

const RULE = /^(?:accuracy>=(?:(base)(?:([+-])(\d*\.?\d+))?|(\d*\.?\d+)),)?(fewesttokens|highestaccuracy)$/;
/** Differences of accuracies in binary miss those in decimals by less. */
const ROUNDING = 1e-9;

/** The rule that a text like `accuracy >= base - 0.01, fewest tokens` states. */
export function parseBestRule(text: string): BestRule {
  const match = RULE.exec(text.replaceAll(/\s/g, ""));
  if (!match) {
    throw new ConfigError(
      `expected a rule such as "accuracy >= base - 0.01, fewest tokens", "accuracy >= 0.9, fewest tokens" or "highest accuracy", got "${text}"`,
    );
  }
  const [, base, sign, offset = "0", absolute, goal] = match;
  const value = Number(absolute ?? offset) * (sign === "-" ? -1 : 1);
  return {
    least: base === undefined && absolute === undefined ? null : { relative: base !== undefined, value },
    goal: goal === "fewesttokens" ? "fewest tokens" : "highest accuracy",
  };
}

/** Which of `scores` is the best by `rule`, the earliest of equals; -1 where none is accurate enough. */
export function bestOf({ least, goal }: BestRule, base: Scored, scores: readonly Scored[]): number {
  const bound = least === null ? -Infinity : least.value + (least.relative ? base.accuracy : 0) - ROUNDING;
  let best = -1;
  scores.forEach((score, i) => {
    if (score.accuracy < bound) return;
    const than = scores[best];
    const isBetter =
      !than || (goal === "fewest tokens" ? score.mean_length < than.mean_length : score.accuracy > than.accuracy);
    if (isBetter) best = i;
  });
  return best;
}
