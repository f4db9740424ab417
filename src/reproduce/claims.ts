import { percent } from "../core/format.ts";
import type { Outcome, Score, ResultRow } from "./results.ts";

/** A claim of the paper, what was seen here, and whether the two agree. */
export interface Claim {
  claim: string;
  /** Where the paper makes it. */
  source: string;
  seen: string;
  holds: boolean;
}

/** "Little" and "more" of the paper's text, in points of accuracy. */
const LITTLE = 0.02;
/** Lengths count as the same within this share. */
const SAME = 0.1;

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Verdicts on the paper's claims from the means over seeds. */
export function claims(base: Score, rows: readonly ResultRow[], outcomes: readonly Outcome[]): Claim[] {
  const rl = rows.filter(({ method }) => method === "RL").sort((a, b) => a.strength! - b.strength!);
  return [
    ordersLengths(rl),
    accuracyHolds(rl),
    easyShrinkMore(base, outcomes, rl),
    ...normalising(rows, rl),
    ...offline(rows),
  ];
}

function ordersLengths(rl: readonly ResultRow[]): Claim {
  return {
    claim: "The larger alpha, the fewer tokens",
    source: "section 5.2, figures 3, 4 and 7",
    seen: rl.map(({ strength, tokens }) => `alpha ${strength}: ${tokens.toFixed(1)}`).join(", "),
    holds: rl.every((row, i) => i === 0 || row.tokens < rl[i - 1]!.tokens),
  };
}

function accuracyHolds(rl: readonly ResultRow[]): Claim {
  const none = rl[0]!;
  const moderate = rl.filter(({ strength }) => strength! > 0 && strength! <= 0.2);
  const most = rl.at(-1)!;
  const drop = (row: ResultRow) => none.accuracy - row.accuracy;
  const worst = moderate.reduce((a, b) => (drop(b) > drop(a) ? b : a));
  return {
    claim: `Accuracy falls little (at most ${percent(LITTLE)}) up to moderate alpha, and more at ${most.strength}`,
    source: "section 5.2",
    seen: `against alpha 0: at most ${percent(drop(worst))} up to alpha 0.2 (at ${worst.strength}), ${percent(drop(most))} at alpha ${most.strength}`,
    holds: drop(worst) <= LITTLE && drop(most) > drop(worst),
  };
}

function easyShrinkMore(base: Score, outcomes: readonly Outcome[], rl: readonly ResultRow[]): Claim {
  const difficulties = Object.keys(base.by_difficulty);
  const alpha = rl.findLast((row) => row.strength! <= 0.2)!.strength;
  const runs = outcomes.filter((outcome) => outcome.method === "RL" && outcome.strength === alpha);
  const shrinks = difficulties.map(
    (difficulty) =>
      1 -
      mean(runs.map(({ final }) => final.by_difficulty[difficulty]!.mean_length)) /
        base.by_difficulty[difficulty]!.mean_length,
  );
  return {
    claim: "Easy problems shrink more than hard ones",
    source: "section 5.2: GSM8K, MATH and AIME",
    seen: `at alpha ${alpha}: ${shrinks.map((shrink, i) => `difficulty ${difficulties[i]}: ${percent(shrink)}`).join(", ")}`,
    holds: shrinks[0]! > shrinks.at(-1)!,
  };
}

function normalising(rows: readonly ResultRow[], rl: readonly ResultRow[]): Claim[] {
  const normalised = rows.filter(({ method }) => method === "RL, normalised");
  const pairs = normalised.map((row) => ({ row, plain: rl.find(({ strength }) => strength === row.strength)! }));
  const list = (value: (row: ResultRow) => string) =>
    pairs.map(({ row, plain }) => `alpha ${row.strength}: ${value(row)} against ${value(plain)}`).join(", ");
  const [low, high] = [normalised[0]!, normalised.at(-1)!];
  return [
    {
      claim: "Normalising advantages by their group shortens more than alpha asks for, whatever alpha is",
      source: "section 5.4, figure 6",
      seen: list((row) => `${row.tokens.toFixed(1)} tokens`),
      holds: low.tokens < pairs[0]!.plain.tokens && Math.abs(high.tokens / low.tokens - 1) <= SAME,
    },
    {
      claim: "Normalising advantages costs accuracy",
      source: "section 5.4, figure 6",
      seen: list((row) => percent(row.accuracy)),
      holds: pairs.every(({ row, plain }) => row.accuracy < plain.accuracy),
    },
  ];
}

function offline(rows: readonly ResultRow[]): Claim[] {
  const cutoffs = rows.filter(({ method }) => method === "Base").sort((a, b) => a.tokens - b.tokens);
  return rows
    .filter(({ method }) => method === "SFT" || method === "DPO")
    .map((row) => {
      const atCutoff = interpolate(cutoffs, row.tokens);
      return {
        claim: `${row.method} is worse than cutting the base model off at as many tokens`,
        source: "section 5.2",
        seen: `${row.tokens.toFixed(1)} tokens: ${percent(row.accuracy)} against ${percent(atCutoff)}`,
        holds: row.accuracy < atCutoff,
      };
    });
}

/** Accuracy of the cutoff baseline at a mean of `tokens`, between its points. */
function interpolate(cutoffs: readonly ResultRow[], tokens: number): number {
  const above = cutoffs.findIndex((row) => row.tokens >= tokens);
  if (above === -1) return cutoffs.at(-1)!.accuracy;
  if (above === 0) return cutoffs[0]!.accuracy * (tokens / cutoffs[0]!.tokens); // no tokens, no answers
  const [a, b] = [cutoffs[above - 1]!, cutoffs[above]!];
  return a.accuracy + ((tokens - a.tokens) / (b.tokens - a.tokens)) * (b.accuracy - a.accuracy);
}
