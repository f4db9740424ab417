import { scoreAtCutoff, type ScoredResponse } from "../core/cutoff.ts";
import { meanInterval } from "../core/statistics.ts";
import { CUTOFFS } from "./plan.ts";

/** What an evaluation leaves for tables and figures. */
export interface Score {
  accuracy: number;
  mean_length: number;
  by_difficulty: Record<string, { accuracy: number; mean_length: number }>;
}

/** One training run of one seed, evaluated. */
export interface Outcome {
  method: string;
  alpha: number | null;
  seed: number;
  final: Score;
  /** Evaluations along training, the last iteration not among them. */
  checkpoints: { iteration: number; accuracy: number; mean_length: number }[];
  /** Of every iteration; empty for the offline baselines. */
  dynamics: { accuracy: number; mean_length: number }[];
}

/** A row of the paper's tables 1 to 6: means over seeds with half the width of their 95% intervals. */
export interface TableRow {
  method: string;
  alpha: number | null;
  tokens: number;
  tokensHalf: number;
  accuracy: number;
  accuracyHalf: number;
  /** The limit at which generation was cut off, in tokens. */
  context: number;
  seeds: number;
}

/** The base model at every cutoff and whole, then each method and alpha over its seeds. */
export function tableRows(
  base: Score & { completions: readonly ScoredResponse[] },
  outcomes: readonly Outcome[],
  context: number,
): TableRow[] {
  const single = { alpha: null, tokensHalf: 0, accuracyHalf: 0, seeds: 1 };
  const baseRows = [...CUTOFFS, context].map((limit): TableRow => {
    const { accuracy, mean_length } = scoreAtCutoff(base.completions, limit);
    return { ...single, method: "Base", tokens: mean_length, accuracy, context: limit };
  });
  const groups = Map.groupBy(outcomes, ({ method, alpha }) => `${method} ${alpha}`);
  const trained = Array.from(groups.values(), (group): TableRow => {
    const tokens = meanInterval(group.map(({ final }) => final.mean_length));
    const accuracy = meanInterval(group.map(({ final }) => final.accuracy));
    return {
      method: group[0]!.method,
      alpha: group[0]!.alpha,
      tokens: tokens.mean,
      tokensHalf: tokens.half,
      accuracy: accuracy.mean,
      accuracyHalf: accuracy.half,
      context,
      seeds: group.length,
    };
  });
  return [...baseRows, ...trained];
}
