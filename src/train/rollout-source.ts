import type { GenerateRequest, LLM, OnTokens } from "../engine/llm.ts";
import type { SamplingParams } from "../engine/sampling-params.ts";
import type { Decode } from "../engine/stop-strings.ts";
import type { DrawnOutput } from "./drawn.ts";
import { countFinished, type RolloutHost } from "./rollouts.ts";
import type { Sampler } from "./sampler.ts";

/** An iteration's responses, on their way. */
export interface Drawing {
  /** The completions that each request asks for, in the order of the requests. */
  outputs: Promise<DrawnOutput[]>;
}

/** Where a trainer's responses are drawn. Which tokens come is a function of the policy and the requests, whoever draws them. */
export interface RolloutSource {
  /**
   * Begins to draw from the policy as it is now, after so many optimizer `steps`. Resolves when the policy may change: what is drawn
   * does not follow it. An abort ends what has not begun. `scored`: the reference's log-probabilities are wanted too; a source that has
   * no reference leaves them to the trainer.
   */
  begin(
    requests: readonly GenerateRequest[],
    params: SamplingParams,
    host: Pick<RolloutHost, "signal" | "onProgress" | "onTokens"> & { steps: number; scored: boolean },
  ): Promise<Drawing>;
}

/** The trainer's own device draws: all is there before the policy changes. */
export const localSource = (sampler: Sampler, decode: Decode): RolloutSource => ({
  begin: async (requests, params, { signal, onProgress, onTokens }) => {
    const count = countFinished(requests, params, onProgress);
    const hear: OnTokens = (update) => {
      onTokens?.(update);
      count(update);
    };
    const outputs = await sampler.generate(requests, params, { onTokens: hear, signal, decode });
    return { outputs: Promise.resolve(outputs) };
  },
});

/** A source as an engine, for what is drawn beside the training: from the policy as it is after the optimizer's steps so far. */
export const engineOf = (source: RolloutSource, { step }: { step: number }): Pick<LLM, "generate"> => ({
  generate: async (requests, params, { signal } = {}) =>
    drawnBy(await source.begin(requests, params, { signal, steps: step, scored: false }), signal),
});

/** What was drawn, once it is all there; an abort ends the wait for it alone. */
export function drawnBy({ outputs }: Drawing, signal: AbortSignal | undefined): Promise<DrawnOutput[]> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal!.reason as Error);
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort, { once: true });
    outputs.then(resolve, reject).finally(() => signal?.removeEventListener("abort", abort));
  });
}
