import type { RlMetrics } from "../src/train/rl.ts";
import type { RolloutRow } from "./session/protocol.ts";

/** Training of the bundled reasoner at several alphas, recorded by scripts/record.ts: what the page shows before anyone trains. */
export interface Recordings {
  /** How they were made, in words. */
  facts: { adapter: string; iterations: number; prompts: number; evaluated: number };
  /** Texts of tokens: what `tokensOf` looks up. */
  vocabulary: string[];
  /** Held-out problems that are answered greedily along the way. */
  problems: { prompt: string; answer: string }[];
  /** The untrained model. */
  base: RecordedScores;
  /** The untrained model, had its answers been cut off at so many tokens. */
  cutoffs: { limit: number; tokens: number; accuracy: number }[];
  /** Other methods of docs/results, with 95% intervals over seeds; tokens relative to the untrained model of that page. */
  baselines: { method: string; x: number; y: number; halfX: number; halfY: number }[];
  runs: RecordedRun[];
}

export interface RecordedScores {
  accuracy: number;
  /** 95%, over problems. */
  accuracyInterval: [low: number, high: number];
  tokens: number;
  tokensInterval: [low: number, high: number];
  /** Mean tokens by difficulty. */
  tokensByDifficulty: Record<string, number>;
}

export type RecordedMetrics = Pick<
  RlMetrics,
  "iteration" | "alpha" | "accuracy" | "reward" | "completions/mean_length" | "completions/clipped_ratio"
>;

export interface RecordedRun {
  alpha: number;
  metrics: RecordedMetrics[];
  scores: RecordedScores;
  /** Iterations after which the problems were answered; the first is 0, the untrained model. */
  steps: number[];
  /** An answer for each step and problem. */
  answers: RecordedAnswer[][];
  /** A group of responses of some iterations. */
  groups: { iteration: number; prompt: string; responses: RecordedResponse[] }[];
}

/** One character a token, and whether the answer is right. */
export type RecordedAnswer = [tokens: string, correct: 0 | 1];

export type RecordedResponse = Pick<RolloutRow, "completion" | "length" | "correct" | "finish_reason">;

/** Character of the first token: those that JSON escapes are before it. */
const FIRST = 0x23;

export function encodeTokens(tokens: readonly string[], vocabulary: string[]): string {
  return tokens
    .map((token) => {
      if (!vocabulary.includes(token)) vocabulary.push(token);
      return String.fromCharCode(FIRST + vocabulary.indexOf(token));
    })
    .join("");
}

/** The texts of an answer's tokens. */
export const tokensOf = (tokens: string, vocabulary: readonly string[]): string[] =>
  Array.from(tokens, (character) => vocabulary[character.charCodeAt(0) - FIRST]!);

export async function fetchRecordings(): Promise<Recordings> {
  const response = await fetch(new URL("./recordings.json", import.meta.url));
  return (await response.json()) as Recordings;
}
