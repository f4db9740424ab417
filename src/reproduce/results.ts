import { scoreAtCutoff, type ScoredResponse } from "../core/cutoff.ts";
import { meanInterval } from "../core/statistics.ts";
import type { TradeOffPoint } from "../run/trade-off.ts";
import { strengthLabel, type Named } from "./experiment.ts";

/** What an evaluation leaves for tables and figures. */
export interface Score {
  accuracy: number;
  mean_length: number;
  by_difficulty: Record<string, { accuracy: number; mean_length: number }>;
}

/** What one training run of one seed came to. */
export interface Measurement {
  final: Score;
  /** Evaluations along training, the last iteration not among them. */
  checkpoints: { iteration: number; accuracy: number; mean_length: number }[];
  /** Of every iteration; empty for what is trained offline. */
  dynamics: { accuracy: number; mean_length: number }[];
  /** Response tokens sampled to train on. */
  num_sampled_tokens: number;
  /** Of sampling and training, loading and evaluation left out. */
  seconds: number;
}

/** It, and of which experiment. */
export type Outcome = Named & Measurement & { seed: number };

/** A row of results, as in the paper's tables 1 to 6: means over seeds with half the width of their 95% intervals. */
export interface ResultRow extends Named {
  tokens: number;
  tokensHalf: number;
  accuracy: number;
  accuracyHalf: number;
  /** Mean tokens of a response. */
  tokensByDifficulty: Record<string, number>;
  /** The limit at which generation was cut off, in tokens. */
  context: number;
  seeds: number;
  /** What a run took: response tokens, and seconds of sampling and training. */
  sampledTokens: number;
  seconds: number;
}

/** Its tokens and its accuracy as tables have them: "51.4 ± 14.8", of a single seed "51.4". */
export const tokensText = ({ tokens, tokensHalf, seeds }: ResultRow): string =>
  withHalf(tokens.toFixed(1), tokensHalf.toFixed(1), seeds);
export const accuracyText = ({ accuracy, accuracyHalf, seeds }: ResultRow): string =>
  withHalf(accuracy.toFixed(3), accuracyHalf.toFixed(3), seeds);
const withHalf = (value: string, half: string, seeds: number) => (seeds > 1 ? `${value} ± ${half}` : value);

/** It as a point of accuracy against tokens. */
export const pointOf = (row: ResultRow): TradeOffPoint => ({
  method: row.method,
  label: strengthLabel(row),
  tokens: row.tokens,
  tokensHalf: row.tokensHalf,
  accuracy: row.accuracy,
  accuracyHalf: row.accuracyHalf,
});

/** Outcomes of one experiment: of each seed one. */
export const byExperiment = <T extends Named>(outcomes: readonly T[]): T[][] => [
  ...Map.groupBy(outcomes, ({ method, strength }) => `${method} ${strength}`).values(),
];

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Each experiment over its seeds. */
export const resultRows = (outcomes: readonly Outcome[], context: number): ResultRow[] =>
  byExperiment(outcomes).map((group): ResultRow => {
    const { method, knob, strength, final } = group[0]!;
    const tokens = meanInterval(group.map((outcome) => outcome.final.mean_length));
    const accuracy = meanInterval(group.map((outcome) => outcome.final.accuracy));
    const tokensOf = (difficulty: string) =>
      mean(group.map((outcome) => outcome.final.by_difficulty[difficulty]!.mean_length));
    return {
      method,
      knob,
      strength,
      tokens: tokens.mean,
      tokensHalf: tokens.half,
      accuracy: accuracy.mean,
      accuracyHalf: accuracy.half,
      tokensByDifficulty: Object.fromEntries(Object.keys(final.by_difficulty).map((name) => [name, tokensOf(name)])),
      context,
      seeds: group.length,
      sampledTokens: mean(group.map(({ num_sampled_tokens: sampled }) => sampled)),
      seconds: mean(group.map(({ seconds }) => seconds)),
    };
  });

/** The base model, cut off at each of `limits`: of the whole one alone is said what it does by difficulty. */
export const baseRows = (
  base: Score & { completions: readonly ScoredResponse[] },
  limits: readonly number[],
  context: number,
): ResultRow[] =>
  [...limits, context].map((limit): ResultRow => {
    const { accuracy, mean_length } = scoreAtCutoff(base.completions, limit);
    const byDifficulty = limit === context ? Object.entries(base.by_difficulty) : [];
    return {
      method: "Base",
      knob: null,
      strength: null,
      tokens: mean_length,
      tokensHalf: 0,
      accuracy,
      accuracyHalf: 0,
      tokensByDifficulty: Object.fromEntries(byDifficulty.map(([name, scores]) => [name, scores.mean_length])),
      context: limit,
      seeds: 1,
      sampledTokens: 0,
      seconds: 0,
    };
  });
