import { largestStage } from "../core/schedule.ts";
import { correctByLength } from "../core/selection.ts";
import { ConfigError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { Model } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import type { RunFolder } from "../run/run-folder.ts";
import type { Files } from "../runtime/types.ts";
import { engineOptions } from "./options.ts";
import { sampleRollouts, type Rollout } from "./rollouts.ts";
import { Sampler } from "./sampler.ts";
import { samplingCost, type SamplingCost } from "./sampling-cost.ts";
import { cutResponse } from "./solution-cut.ts";
import type { Sources } from "./sources.ts";

/**
 * What the paper's offline baselines learn from (section 5.1): the correct responses to a prompt at both ends of length. With a kind
 * of Chen et al. the short one is what is left of a response that is cut.
 */
export interface Selected {
  promptTokenIds: readonly number[];
  shortest: readonly number[];
  /** The longest correct response, null where it is not longer: nothing to prefer. */
  longest: readonly number[] | null;
}

/** What the short one is the shortest of. */
type Kind = Config["dpo"]["data"];

/** Problems sampled together, between two messages. */
const BATCH = 100;
/** The file of a run's folder that keeps what was sampled. */
export const REJECTION = "rejection.jsonl";

/** A line of it: what a batch of prompts gave, and how many prompts have been sampled with it. */
interface Batch extends SamplingCost {
  prompts: number;
  /** Left out where it is "shortest", as in files that are older than the others. */
  kind?: Kind;
  selected: Selected[];
}

/**
 * Of each group the longest correct response, and the shortest of what `cut` makes of the correct ones; the first drawn among
 * equally long ones. Groups without are left out.
 */
export function selectResponses(
  groups: readonly Rollout[][],
  cut: (rollout: Rollout) => readonly number[] | null = ({ tokenIds }) => tokenIds,
): Selected[] {
  return groups.flatMap((group) => {
    const order = correctByLength(group);
    const [short] = order
      .flatMap((i) => {
        const tokenIds = cut(group[i]!);
        return tokenIds ? [{ i, tokenIds }] : [];
      })
      .sort((a, b) => a.tokenIds.length - b.tokenIds.length || a.i - b.i);
    if (!short) return [];
    const { promptTokenIds, tokenIds: longest } = group[order.at(-1)!]!;
    const { tokenIds: shortest } = short;
    return [{ promptTokenIds, shortest, longest: longest.length > shortest.length ? longest : null }];
  });
}

/**
 * The model's own shortest (of `kind`) and longest correct responses to training prompts: sampled once, as rl samples, and kept in
 * the run's folder as rejection.jsonl, a line a batch of prompts, so that an interruption costs one batch.
 *
 * @throws ConfigError where the file holds another kind, and where there is nothing to learn from
 */
export async function selectedResponses(
  gpu: Gpu,
  files: Files,
  { modelDir, task, tokenizer, stopTokenIds }: Sources,
  folder: RunFolder,
  { kind, signal, note }: { kind: Kind; signal: AbortSignal; note: (message: string) => void },
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
  const other = kept.find((batch) => (batch.kind ?? "shortest") !== kind);
  if (other)
    throw new ConfigError(
      `${folder.dir}/${REJECTION}: expected responses of the kind "${kind}", got "${other.kind ?? "shortest"}"; remove the file to sample again, or choose another train.output_dir`,
    );
  const wanted = `a correct response${kind === "shortest" ? "" : ` that can be cut as ${kind}`}`;
  const cut =
    kind === "shortest"
      ? undefined
      : (rollout: Rollout) => cutResponse(kind, rollout, { tokenizer, task, stopTokenIds, stop: rl.stop });
  const selected = kept.flatMap((batch) => batch.selected);
  const done = kept.at(-1)?.prompts ?? 0;
  if (done < problems.length) {
    const model = await Model.load(gpu, files, modelDir, { dtype: modelConfig.dtype });
    const sampler = new Sampler(model, engineOptions(folder.config), { onWarning: note });
    try {
      for (let first = done; first < problems.length; first += BATCH) {
        const part = problems.slice(first, first + BATCH);
        const host = { stopTokenIds, firstPromptId: first, signal };
        const start = performance.now();
        const groups = await sampleRollouts(sampler, tokenizer, task, part, rl.num_generations, sampling, host);
        const batch: Batch = {
          prompts: first + part.length,
          ...(kind === "shortest" ? {} : { kind }),
          selected: selectResponses(groups, cut),
          ...samplingCost(groups, start),
        };
        await folder.append(REJECTION, [{ ...batch }]);
        selected.push(...batch.selected);
        note(`sampled ${batch.prompts}/${problems.length} prompts, ${selected.length} with ${wanted}`);
      }
    } finally {
      model.dispose();
    }
  }
  if (selected.length === 0)
    throw new ConfigError(
      `${task.name}: expected ${wanted} to some prompts, got none to ${problems.length}; raise rejection.num_prompts`,
    );
  return selected;
}
