import { randomAt } from "./rng.ts";

/** What scoring needs of a judged response. */
export interface ScoredSample {
  correct: boolean;
  /** Tokens. */
  length: number;
  finish_reason: "stop" | "length";
  /** The answer as extracted, "" if there is none. */
  extracted: string;
}

export interface Scores {
  num_problems: number;
  num_samples: number;
  /** Share of correct responses over all problems and samples: the paper's average pass rate. */
  accuracy: number;
  /** 95%, by bootstrap over problems. */
  accuracy_interval: [low: number, high: number];
  /** Share of problems that k samples solve, for k = 1, 2, 4 and so on up to the number of samples. */
  pass_at_k: Record<string, number>;
  /** Share of problems whose most frequent answer is correct. */
  majority: number;
  /** Mean tokens of a response. */
  mean_length: number;
  mean_length_interval: [low: number, high: number];
  /** Share of responses that were cut off. */
  clipped_ratio: number;
}

const RESAMPLES = 1000;
/** Stream of the bootstrap's random numbers. */
const BOOTSTRAP_SEED = 0x626f6f74;

const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;

/** Whether two answers, as extracted, are one: as texts, or as what they say. */
export type SameAnswer = (a: string, b: string) => boolean;

/** Scores the samples of each problem, all of the same number. */
export function scoreSamples(groups: readonly (readonly ScoredSample[])[], same: SameAnswer): Scores {
  const samples = groups.flat();
  const numSamples = groups[0]?.length ?? 0;
  const accuracies = groups.map((group) => mean(group.map(({ correct }) => Number(correct))));
  const lengths = groups.map((group) => mean(group.map(({ length }) => length)));
  return {
    num_problems: groups.length,
    num_samples: numSamples,
    accuracy: mean(accuracies),
    accuracy_interval: bootstrapInterval(accuracies),
    pass_at_k: Object.fromEntries(
      powersUpTo(numSamples).map((k) => [
        String(k),
        mean(groups.map((group) => passAtK(numSamples, group.filter(({ correct }) => correct).length, k))),
      ]),
    ),
    majority: mean(groups.map((group) => Number(majorityIsCorrect(group, same)))),
    mean_length: mean(lengths),
    mean_length_interval: bootstrapInterval(lengths),
    clipped_ratio: mean(samples.map(({ finish_reason }) => Number(finish_reason === "length"))),
  };
}

function powersUpTo(n: number): number[] {
  const powers: number[] = [];
  for (let k = 1; k < n; k *= 2) powers.push(k);
  return n > 0 ? [...powers, n] : [];
}

/** The unbiased estimate of pass@k from n samples of which c are correct: 1 - C(n - c, k) / C(n, k) (Chen et al. 2021). */
export function passAtK(n: number, c: number, k: number): number {
  let allWrong = 1;
  for (let i = 0; i < k; i++) allWrong *= Math.max(0, n - c - i) / (n - i);
  return 1 - allWrong;
}

/** Whether the most frequent answer of those that ended is correct, however it is written; of equally frequent ones the first drawn counts. */
export function majorityIsCorrect(group: readonly ScoredSample[], same: SameAnswer): boolean {
  const votes: ScoredSample[][] = [];
  for (const sample of group) {
    if (sample.finish_reason !== "stop" || sample.extracted === "") continue;
    const isSame = ([first]: readonly ScoredSample[]) =>
      first!.extracted === sample.extracted || same(first!.extracted, sample.extracted);
    const answers = votes.find(isSame);
    if (answers) answers.push(sample);
    else votes.push([sample]);
  }
  let winner: readonly ScoredSample[] = [];
  for (const answers of votes) if (answers.length > winner.length) winner = answers;
  return winner[0]?.correct ?? false;
}

/** The 2.5% and 97.5% quantiles of the mean over values drawn with replacement. The same for the same values. */
export function bootstrapInterval(values: readonly number[]): [low: number, high: number] {
  const n = values.length;
  if (n === 0) return [0, 0];
  const means = Array.from({ length: RESAMPLES }, (_, r) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[Math.floor(randomAt(BOOTSTRAP_SEED, r, i) * n)]!;
    return sum / n;
  }).sort((a, b) => a - b);
  return [means[Math.floor(0.025 * RESAMPLES)]!, means[Math.ceil(0.975 * RESAMPLES) - 1]!];
}
