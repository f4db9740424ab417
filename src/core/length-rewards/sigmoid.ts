import { isCorrect, scoreOf, type Group } from "../group.ts";

/** Keeps the z-score finite where all correct responses are equally long. Added to the standard deviation (released code). */
const EPSILON = 1e-7;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Mean and population standard deviation of the lengths of a group's correct responses; null if none is correct. */
export function lengthStatistics(group: Group): { mean: number; std: number } | null {
  const lengths = group.filter(isCorrect).map((completion) => completion.length);
  if (lengths.length === 0) return null;
  const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
  const variance = lengths.reduce((sum, length) => sum + (length - mean) ** 2, 0) / lengths.length;
  return { mean, std: Math.sqrt(variance) };
}

/**
 * R = c (1 - alpha sigmoid((L - mean) / (std + 1e-7))): for a correct response the more the shorter it is against the group's
 * other correct ones (the paper, eq. 4 and 5). A lone correct response gets 1 - alpha / 2; a wrong one its score, usually 0.
 *
 * @param alpha from 0, where only correctness counts, to 1
 */
export function lengthRewards(group: Group, alpha: number): number[] {
  const statistics = lengthStatistics(group);
  return group.map((completion) => {
    if (!statistics || !isCorrect(completion)) return scoreOf(completion);
    const z = (completion.length - statistics.mean) / (statistics.std + EPSILON);
    return scoreOf(completion) * (1 - alpha * sigmoid(z));
  });
}
