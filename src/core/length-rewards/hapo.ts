import { isCorrect, scoreOf, type Group } from "../group.ts";

/** `floor`: what length takes from a correct response at most. */
export const HAPO = { weight: 1, floor: -0.7 };

/**
 * HAPO: R = c + weight f, f = cos(pi L / 2h) and -1 from L = 2h on, with h the shortest correct length of this problem so far.
 * A correct response loses at most 0.7, a wrong one gains nothing. Without a record f is 0. A problem's record is updated after
 * its group is scored (`shortestCorrect`).
 *
 * Source: "HAPO: Training Language Models to Reason Concisely via History-Aware Policy Optimization".
 *
 * @param record tokens, null for a problem that was not solved before
 */
export function hapoRewards(group: Group, { weight, floor }: typeof HAPO, record: number | null): number[] {
  return group.map((outcome) => {
    const f = record === null ? 0 : Math.cos(Math.PI * Math.min(1, outcome.length / (2 * record)));
    return scoreOf(outcome) + weight * (isCorrect(outcome) ? Math.max(floor, f) : Math.min(0, f));
  });
}

/** The record after a group: tokens of the shortest correct response so far, null while there is none. */
export function shortestCorrect(record: number | null, group: Group): number | null {
  const lengths = group.filter(isCorrect).map(({ length }) => length);
  const shortest = Math.min(record ?? Infinity, ...lengths);
  return Number.isFinite(shortest) ? shortest : null;
}
