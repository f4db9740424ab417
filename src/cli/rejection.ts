import { ConfigError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { Model } from "../model/model.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { sampleAndJudge } from "../train/evaluate.ts";
import { selectResponses, type Selected } from "../train/rejection.ts";
import { files, note, type Sources } from "./host.ts";
import { engineOptions } from "../train/options.ts";
import { Sampler } from "../train/sampler.ts";

/** Problems sampled together, between two messages. */
const BATCH = 100;

/**
 * The model's own shortest and longest correct responses to training prompts: sampled once, as rl samples, and kept in the
 * run's folder as rejection.json.
 */
export async function selectedResponses(
  gpu: Gpu,
  sources: Sources,
  folder: RunFolder,
  signal: AbortSignal,
): Promise<Selected[]> {
  const path = `${folder.dir}/rejection.json`;
  if (await files.exists(path)) return JSON.parse(await files.readText(path)) as Selected[];
  const { rl, rejection, model: modelConfig, train } = folder.config;
  const { task, tokenizer, stopTokenIds } = sources;
  const problems = task.train.slice(0, rejection.num_prompts);
  const model = await Model.load(gpu, files, sources.modelDir, { dtype: modelConfig.dtype });
  const sampler = new Sampler(model, engineOptions(folder.config), note);
  const sampling = {
    temperature: rl.temperature,
    topK: rl.top_k,
    topP: rl.top_p,
    maxTokens: rl.max_completion_length,
    seed: train.seed,
  };
  const selected: Selected[] = [];
  try {
    for (let first = 0; first < problems.length; first += BATCH) {
      const part = problems.slice(first, first + BATCH);
      selected.push(
        ...selectResponses(
          await sampleAndJudge(sampler, tokenizer, task, part, rl.num_generations, sampling, {
            stopTokenIds,
            firstPromptId: first,
            signal,
          }),
        ),
      );
      note(`sampled ${first + part.length}/${problems.length} prompts, ${selected.length} with a correct response`);
    }
  } finally {
    sampler.dispose();
    model.dispose();
  }
  if (selected.length === 0)
    throw new ConfigError(
      `${task.name}: expected correct responses to learn from, got none in ${problems.length} prompts; raise rejection.num_prompts`,
    );
  await folder.write("rejection.json", JSON.stringify(selected));
  return selected;
}
