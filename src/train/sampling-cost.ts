import type { RequestOutput } from "../engine/llm.ts";
import type { Rollout } from "./rollouts.ts";

/** What sampling outside training's iterations took; a line of first_pass.jsonl and rejection.jsonl says it. */
export interface SamplingCost {
  /** Response tokens. */
  num_sampled_tokens: number;
  /** Seconds. */
  rollout_time: number;
}

/** Of groups whose sampling began at `start`, by `performance.now()`. */
export const samplingCost = (groups: readonly (readonly Rollout[])[], start: number): SamplingCost => ({
  num_sampled_tokens: groups.flat().reduce((sum, { length }) => sum + length, 0),
  rollout_time: (performance.now() - start) / 1000,
});

/** Of all completions. */
export const responseTokens = (drawn: readonly RequestOutput[]): number =>
  drawn.reduce((sum, { outputs }) => sum + outputs.reduce((tokens, { tokenIds }) => tokens + tokenIds.length, 0), 0);

/** Whether a run ends where it has so many iterations, and so many response tokens sampled, behind it. */
export const hasEnded = (
  { maxIterations, maxSampledTokens = Infinity }: { maxIterations: number; maxSampledTokens?: number | undefined },
  iterations: number,
  sampled: number,
): boolean => iterations >= maxIterations || sampled >= maxSampledTokens;
