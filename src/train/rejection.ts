import { largestStage } from "../core/schedule.ts";
import { correctByLength } from "../core/selection.ts";
import { ConfigError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { Model } from "../model/model.ts";
import type { RunFolder } from "../run/run-folder.ts";
import type { Files } from "../runtime/types.ts";
import { engineOptions } from "./options.ts";
import { sampleRollouts, type Rollout } from "./rollouts.ts";
import { Sampler } from "./sampler.ts";
import type { Sources } from "./sources.ts";

/** What the paper's offline baselines learn from (section 5.1): the correct responses to a prompt at both ends of length. */
export interface Selected {
  promptTokenIds: readonly number[];
  shortest: readonly number[];
  /** Null where no correct response is longer than the shortest: nothing to prefer. */
  longest: readonly number[] | null;
}

/** Problems sampled together, between two messages. */
const BATCH = 100;
/** The file of a run's folder that keeps what was sampled. */
export const REJECTION = "rejection.jsonl";

/** A line of it: what a batch of prompts gave, and how many prompts have been sampled with it. */
interface Batch {
  prompts: number;
  selected: Selected[];
}

/** Of each group the shortest and the longest correct response; groups without a correct one are left out. */
export function selectResponses(groups: readonly Rollout[][]): Selected[] {
  return groups.flatMap((group) => {
    const order = correctByLength(group);
    if (order.length === 0) return [];
    const { promptTokenIds, tokenIds: shortest } = group[order[0]!]!;
    const longest = group[order.at(-1)!]!.tokenIds;
    return [{ promptTokenIds, shortest, longest: longest.length > shortest.length ? longest : null }];
  });
}

/**
 * The model's own shortest and longest correct responses to training prompts: sampled once, as rl samples, and kept in the
 * run's folder as rejection.jsonl, a line a batch of prompts, so that an interruption costs one batch.
 */
export async function selectedResponses(
  gpu: Gpu,
  files: Files,
  { modelDir, task, tokenizer, stopTokenIds }: Sources,
  folder: RunFolder,
  { signal, note }: { signal: AbortSignal; note: (message: string) => void },
): Promise<Selected[]> {
  const { rl, rejection, model: modelConfig, train } = folder.config;
  const problems = task.train.slice(0, rejection.num_prompts);
  const sampling = {
    temperature: rl.temperature,
    topK: rl.top_k,
    topP: rl.top_p,
    minP: rl.min_p,
    stop: rl.stop,
    maxTokens: largestStage(rl.max_completion_length),
    seed: train.seed,
  };
  const kept = (await folder.takeRows(REJECTION)) as unknown as Batch[];
  const selected = kept.flatMap((batch) => batch.selected);
  const done = kept.at(-1)?.prompts ?? 0;
  if (done < problems.length) {
    const model = await Model.load(gpu, files, modelDir, { dtype: modelConfig.dtype });
    const sampler = new Sampler(model, engineOptions(folder.config), { onWarning: note });
    try {
      for (let first = done; first < problems.length; first += BATCH) {
        const part = problems.slice(first, first + BATCH);
        const host = { stopTokenIds, firstPromptId: first, signal };
        const groups = await sampleRollouts(sampler, tokenizer, task, part, rl.num_generations, sampling, host);
        const batch: Batch = { prompts: first + part.length, selected: selectResponses(groups) };
        await folder.append(REJECTION, [{ ...batch }]);
        selected.push(...batch.selected);
        note(`sampled ${batch.prompts}/${problems.length} prompts, ${selected.length} with a correct response`);
      }
    } finally {
      model.dispose();
    }
  }
  if (selected.length === 0)
    throw new ConfigError(
      `${task.name}: expected correct responses to learn from, got none in ${problems.length} prompts; raise rejection.num_prompts`,
    );
  return selected;
}
