import { correctByLength } from "../core/selection.ts";
import type { Judged } from "./evaluate.ts";

/** What the paper's offline baselines learn from (section 5.1): the correct responses to a prompt at both ends of length. */
export interface Selected {
  promptTokenIds: readonly number[];
  shortest: readonly number[];
  /** Null where no correct response is longer than the shortest: nothing to prefer. */
  longest: readonly number[] | null;
}

/** Of each group the shortest and the longest correct response; groups without a correct one are left out. */
export function selectResponses(groups: readonly Judged[]): Selected[] {
  return groups.flatMap(({ promptTokenIds, outputs }) => {
    const order = correctByLength(
      outputs.map(({ judged, finishReason }) => ({ length: judged.length, finishReason, correct: judged.correct })),
    );
    if (order.length === 0) return [];
    const shortest = outputs[order[0]!]!.tokenIds;
    const longest = outputs[order.at(-1)!]!.tokenIds;
    return [{ promptTokenIds, shortest, longest: longest.length > shortest.length ? longest : null }];
  });
}
