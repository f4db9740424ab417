/**
 * A stretch of a response that ends in an explicit answer; it begins where the one before ends (Chen et al. 2024, "Do NOT Think That
 * Much for 2+3=? On the Overthinking of o1-Like LLMs"). Places are characters of the response.
 */
export interface Solution {
  /** The end of the stretch, white space after it left out. */
  end: number;
  /** Where what must follow begins if the response is cut at `end`: its own final part, or its length where nothing must. */
  ending: number;
  /** Whether the answer is right. */
  correct: boolean;
  /** The computations that the stretch writes, spelled so that equal ones are equal. */
  work: readonly string[];
}

/** How far a response is kept, by the names of Chen et al.: its first correct solution, that and its reflection, greedily diverse ones. */
export const SOLUTION_CUTS = ["fcs", "fcs_reflection", "gds"] as const;
export type SolutionCut = (typeof SOLUTION_CUTS)[number];

/**
 * The last solution that is kept, which is always a correct one; null where the response has none of that kind: one without a second
 * correct solution has no reflection.
 *
 * fcs: up to the first correct solution. fcs_reflection: up to the second. gds: up to the last correct one before the first that
 * brings no new approach. What a new approach is, the source has a language model say; here a solution brings one if it writes a
 * computation that no solution before it wrote.
 */
export function lastKept(cut: SolutionCut, solutions: readonly Solution[]): Solution | null {
  if (cut === "gds") {
    const repeated = solutions.findIndex(({ work }, i) => i > 0 && !isNew(work, solutions.slice(0, i)));
    const diverse = repeated < 0 ? solutions : solutions.slice(0, repeated);
    return diverse.findLast(({ correct }) => correct) ?? null;
  }
  const correct = solutions.filter((solution) => solution.correct);
  return correct[cut === "fcs" ? 0 : 1] ?? null;
}

/**
 * The solutions of a response whose final part is `final`. That is a solution of its own where the right answer first comes in it, or
 * where it computes something new; otherwise it only states what is known.
 */
export function withFinal(before: readonly Solution[], final: Solution): Solution[] {
  const states = before.some(({ correct }) => correct) && !isNew(final.work, before);
  return states ? [...before] : [...before, final];
}

const isNew = (work: readonly string[], before: readonly Solution[]): boolean =>
  work.some((computation) => !before.some((solution) => solution.work.includes(computation)));
