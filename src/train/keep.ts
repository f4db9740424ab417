import type { RequestOutput } from "../engine/llm.ts";
import type { RunFolder } from "../run/run-folder.ts";
import type { Progress } from "./resume.ts";
import type { RolloutRecord } from "./rollouts.ts";

/** What a step leaves in the run's folder. */
export interface StepRecord {
  step: number;
  metrics: Readonly<Record<string, number>> & { num_tokens: number };
  completions?: readonly RolloutRecord[];
  /** What the next step trains on, where this one's weights did not draw it. */
  ahead?: Promise<RequestOutput[]> | null;
}

/**
 * Passes a trainer's steps on and keeps them in the run's folder: each is logged, and a checkpoint written after every
 * `save_every`-th, after the last of `total`, and after an abort. Ends quietly when `signal` aborts, with a checkpoint of the
 * steps that were done.
 */
export async function* keepSteps<S>(
  steps: AsyncGenerator<S>,
  record: (step: S) => StepRecord,
  { state, save, prune }: Progress,
  folder: RunFolder,
  { total, signal }: { total: number; signal: AbortSignal },
): AsyncGenerator<S> {
  let saved = state.step;
  let next: StepRecord["ahead"] = null;
  const checkpoint = async () => {
    if (saved === state.step) return;
    await folder.sync();
    await save(await next);
    const { save_total_limit: limit } = folder.config.train;
    if (limit !== undefined) await prune(limit);
    await folder.writeEvents();
    saved = state.step;
  };
  try {
    for await (const item of steps) {
      const { step, metrics, completions, ahead } = record(item);
      next = ahead;
      state.step = step;
      state.num_tokens += metrics.num_tokens;
      await folder.log(step, metrics);
      if (completions) await folder.logCompletions(step, completions);
      if (step % folder.config.train.save_every === 0 || step === total || signal.aborted) await checkpoint();
      yield item;
      if (signal.aborted) return;
    }
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
    await checkpoint();
  }
}
