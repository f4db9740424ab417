import { logSumExp } from "./logprob.ts";
import { philox } from "../core/rng.ts";
import { gumbel } from "./rng.ts";

/**
 * Which tokens top-k (0 keeps all), then top-p (1 keeps all), then min-p (0 keeps all) keep of softmax(z): the most probable
 * ones, with all that are equal to the last of them; of those the ones of at least minP times the largest probability.
 */
export function keptTokens({
  z,
  topK,
  topP,
  minP = 0,
}: {
  z: Float64Array;
  topK: number;
  topP: number;
  minP?: number;
}): boolean[] {
  const sorted = Float64Array.from(z).sort().reverse();
  const kth = topK > 0 && topK < z.length ? sorted[topK - 1]! : -Infinity;
  const candidates = sorted.filter((value) => value >= kth);
  const normalizer = logSumExp(candidates);
  let mass = 0;
  let last = -Infinity;
  if (topP < 1) {
    for (const value of candidates) {
      mass += Math.exp(value - normalizer);
      last = value;
      if (mass >= topP) break;
    }
  }
  const least = sorted[0]! + Math.log(minP);
  return Array.from(z, (value) => value >= Math.max(kth, last, least));
}

/** z + Gumbel noise for each token; z itself where decoding is greedy. */
export function scores({
  z,
  greedy,
  key,
  position,
}: {
  z: Float64Array;
  greedy: boolean;
  /** seed low, seed high, prompt, sample */
  key: ArrayLike<number>;
  position: number;
}): Float64Array {
  if (greedy) return z;
  return z.map((value, token) => {
    const bits = philox([token >>> 2, position, key[2]!, key[3]!], [key[0]!, key[1]!]);
    return value + gumbel(bits[token & 3]!);
  });
}

/** The kept token with the largest score, the lowest index among equals. */
export function pickToken(scores: Float64Array, kept: boolean[]): number {
  let best = -1;
  scores.forEach((score, token) => {
    if (kept[token] && (best < 0 || score > scores[best]!)) best = token;
  });
  return best;
}

/** A row of the decode state after its draw: it stands still once it is done. */
export function advance(
  row: { token: number; position: number; done: boolean },
  { drawn, stops, limit }: { drawn: number; stops: readonly number[]; limit: number },
): { token: number; position: number; done: boolean } {
  if (row.done) return row;
  const position = row.position + 1;
  return { token: drawn, position, done: stops.includes(drawn) || position >= limit };
}
