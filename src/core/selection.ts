import { isCorrect, type Group } from "./group.ts";

/** Indices of the correct responses of a group, shortest first; among equally long ones the first drawn comes first. */
export function correctByLength(group: Group): number[] {
  return group
    .flatMap((completion, i) => (isCorrect(completion) ? [i] : []))
    .sort((a, b) => group[a]!.length - group[b]!.length || a - b);
}
