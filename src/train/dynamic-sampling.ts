import type { ScoredGroup } from "./rewards.ts";
import type { Asked, Rollout } from "./rollouts.ts";

/** What dynamic sampling drew and did not train on. */
export interface Discarded {
  /** Share of the prompts to which something was drawn. */
  "dynamic_sampling/discarded_groups": number;
  /** Response tokens. */
  "dynamic_sampling/discarded_tokens": number;
  /** Rounds in which prompts were replaced. */
  "dynamic_sampling/rounds": number;
}

/** How many responses: as of RlOptions. */
interface Responses {
  numGenerations: number;
  screenGenerations: number;
}

interface Source {
  /** So many prompts in the place of others, in the round of that number. */
  instead(round: number, count: number): Asked[];
  /** Draws in one batch what is asked for: the judged responses to each. */
  draw(asked: readonly Asked[]): Promise<Rollout[][]>;
  score(groups: readonly Rollout[][]): Promise<ScoredGroup[]>;
}

const hasSpread = ({ rewards }: ScoredGroup): boolean => rewards.some((reward) => reward !== rewards[0]);
const tokensOf = (group: readonly Rollout[]): number => group.reduce((sum, { length }) => sum + length, 0);

/** Asks for the responses by which prompts are screened; for all where they are not. */
export const firstResponses = (asked: Asked[], { screenGenerations: samples }: Responses): Asked[] =>
  samples > 0 ? asked.map((request) => ({ ...request, samples })) : asked;

/** Asks for the responses that a group lacks. */
function otherResponses(group: readonly Rollout[], { numGenerations }: Responses): Asked {
  const { promptId, problem, prompt, promptTokenIds } = group[0]!;
  const firstSample = group.length;
  return { promptId, problem, prompt, promptTokenIds, firstSample, samples: numGenerations - firstSample };
}

/**
 * DAPO's dynamic sampling (Yu et al. 2025), by reward instead of accuracy, for length teaches where all are correct: a group whose
 * responses all earn the same gives way to another prompt's, until every group has a spread or the rounds are over. Groups keep
 * their places.
 *
 * With `screenGenerations` it is SPEED's two-stage draw (Zhang et al. 2025): `first` and what replaces it are the first responses to
 * their prompts, and only what is kept gets the others, those of one round in one batch with the next round's first responses. A
 * group is scored once more when it is whole: what a response earns may depend on the rest.
 */
export async function replaceFlat(
  first: readonly Rollout[][],
  options: Responses & { dynamicSampling: number },
  { instead, draw, score }: Source,
): Promise<{ groups: ScoredGroup[]; discarded: Discarded }> {
  const groups = [...first];
  const scored = await score(groups);
  const places = groups.map((_, place) => place);
  const unfinished = () => places.filter((place) => groups[place]!.length < options.numGenerations);
  const add = (place: number, others: readonly Rollout[]) => (groups[place] = [...groups[place]!, ...others]);
  let drawn = groups.length;
  let tokens = 0;
  let round = 0;
  for (; round < options.dynamicSampling; round++) {
    const flat = places.filter((place) => !hasSpread(scored[place]!));
    if (flat.length === 0) break;
    const others = firstResponses(instead(round, flat.length), options);
    const passed = unfinished().filter((place) => hasSpread(scored[place]!));
    const responses = await draw([...others, ...passed.map((place) => otherResponses(groups[place]!, options))]);
    const replacing = await score(responses.slice(0, flat.length));
    passed.forEach((place, i) => add(place, responses[flat.length + i]!));
    flat.forEach((place, i) => {
      tokens += tokensOf(groups[place]!);
      groups[place] = responses[i]!;
      scored[place] = replacing[i]!;
    });
    drawn += flat.length;
  }
  const last = unfinished();
  if (last.length > 0) {
    const responses = await draw(last.map((place) => otherResponses(groups[place]!, options)));
    last.forEach((place, i) => add(place, responses[i]!));
  }
  return {
    groups: options.screenGenerations > 0 ? await score(groups) : scored,
    discarded: {
      "dynamic_sampling/discarded_groups": 1 - groups.length / drawn,
      "dynamic_sampling/discarded_tokens": tokens,
      "dynamic_sampling/rounds": round,
    },
  };
}
