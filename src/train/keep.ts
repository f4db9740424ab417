import type { RunFolder } from "../run/run-folder.ts";
import type { SamplerShare } from "../run/sampler-share.ts";
import type { DrawnOutput } from "./drawn.ts";
import type { HeldOut } from "./held-out.ts";
import type { Progress } from "./resume.ts";
import type { RolloutRecord } from "./rollouts.ts";

/** What a step leaves in the run's folder. */
export interface StepRecord {
  step: number;
  metrics: Readonly<Record<string, number>> & { num_tokens: number; num_sampled_tokens?: number };
  completions?: readonly RolloutRecord[];
  /** Who drew since the step before, where it was others. */
  samplers?: readonly SamplerShare[];
  /** Whether the run ends with it. */
  isLast: boolean;
  /** What the next step trains on, where this one's weights did not draw it. */
  ahead?: Promise<DrawnOutput[]> | null;
}

/**
 * Passes a trainer's steps on and keeps them in the run's folder: each is logged, and a checkpoint written after every
 * `save_every`-th, after the last, after the best so far on `heldOut` problems, and after an abort. Ends quietly when
 * `signal` aborts, with a checkpoint of the steps that were done, and where `heldOut` has it end.
 */
export async function* keepSteps<S>(
  steps: AsyncGenerator<S>,
  record: (step: S) => StepRecord,
  { state, save, prune }: Progress,
  folder: RunFolder,
  { signal, heldOut }: { signal: AbortSignal; heldOut?: HeldOut | null },
): AsyncGenerator<S> {
  let saved = state.step;
  let next: StepRecord["ahead"] = null;
  let isEvaluating = false;
  const pruneOlder = async () => {
    const { save_total_limit: limit } = folder.config.train;
    if (limit !== undefined) await prune(limit, heldOut?.best?.step);
  };
  await pruneOlder(); // a process that was killed after a checkpoint may not have
  if (heldOut?.ends) return;
  const checkpoint = async () => {
    if (saved === state.step) return;
    await folder.sync();
    await save(await next);
    await pruneOlder();
    await folder.writeEvents();
    saved = state.step;
  };
  try {
    for await (const item of steps) {
      const { step, metrics, completions, samplers = [], ahead, isLast } = record(item);
      next = ahead;
      // The weights are this step's, the state is not yet: what an abort here leaves is the last checkpoint.
      isEvaluating = true;
      const evaluation = (await heldOut?.after(step)) ?? null;
      isEvaluating = false;
      state.step = step;
      state.num_tokens += metrics.num_tokens;
      if (metrics.num_sampled_tokens !== undefined) state.num_sampled_tokens = metrics.num_sampled_tokens;
      await folder.log(step, { ...metrics, ...evaluation?.metrics });
      if (completions) await folder.logCompletions(step, completions);
      if (samplers.length > 0) await folder.logSamplers(step, samplers);
      const stops = isLast || signal.aborted || evaluation?.ends;
      if (step % folder.config.train.save_every === 0 || evaluation?.isBest || stops) await checkpoint();
      yield item;
      if (signal.aborted || evaluation?.ends) return;
    }
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
    if (!isEvaluating) await checkpoint();
  }
}
