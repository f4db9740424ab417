import type { ScoredGroup } from "./rewards.ts";

/** What dynamic sampling drew and did not train on. */
export interface Discarded {
  /** Share of the groups drawn. */
  "dynamic_sampling/discarded_groups": number;
  /** Response tokens. */
  "dynamic_sampling/discarded_tokens": number;
  /** Rounds in which prompts were replaced. */
  "dynamic_sampling/rounds": number;
}

const hasSpread = ({ rewards }: ScoredGroup): boolean => rewards.some((reward) => reward !== rewards[0]);
const tokensOf = ({ rollouts }: ScoredGroup): number => rollouts.reduce((sum, { length }) => sum + length, 0);

/**
 * DAPO's dynamic sampling (Yu et al. 2025), by reward instead of accuracy, for length teaches where all are correct: a group whose
 * responses all earn the same gives way to another prompt's, which `draw` draws and scores, until every group has a spread or
 * `rounds` are over. Groups keep their places.
 */
export async function replaceFlat(
  groups: readonly ScoredGroup[],
  rounds: number,
  draw: (round: number, count: number) => Promise<ScoredGroup[]>,
): Promise<{ groups: ScoredGroup[]; discarded: Discarded }> {
  const kept = [...groups];
  let drawn = kept.length;
  let tokens = 0;
  let round = 0;
  for (; round < rounds; round++) {
    const flat = kept.flatMap((group, place) => (hasSpread(group) ? [] : [place]));
    if (flat.length === 0) break;
    const others = await draw(round, flat.length);
    flat.forEach((place, i) => {
      tokens += tokensOf(kept[place]!);
      kept[place] = others[i]!;
    });
    drawn += flat.length;
  }
  return {
    groups: kept,
    discarded: {
      "dynamic_sampling/discarded_groups": 1 - kept.length / drawn,
      "dynamic_sampling/discarded_tokens": tokens,
      "dynamic_sampling/rounds": round,
    },
  };
}
