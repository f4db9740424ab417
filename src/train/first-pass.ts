import { LENGTH_REWARDS, type Reference } from "../core/length-rewards/index.ts";
import { largestStage } from "../core/schedule.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { Model } from "../model/model.ts";
import type { RunFolder } from "../run/run-folder.ts";
import type { Files } from "../runtime/types.ts";
import { withProblems, type Problem, type Task } from "../tasks/task.ts";
import { engineOptions, rlOptions } from "./options.ts";
import { Prompts } from "./prompts.ts";
import { mean } from "./rollout-metrics.ts";
import { sampleRollouts } from "./rollouts.ts";
import { samplingCost, type SamplingCost } from "./sampling-cost.ts";
import { Sampler } from "./sampler.ts";
import type { Sources } from "./sources.ts";

/** The file of a run's folder that keeps what the initial model did. */
export const FIRST_PASS = "first_pass.jsonl";
/** Problems sampled together, between two messages. */
const BATCH = 100;
/** Its responses draw under keys of their own: those of training would be measured by themselves. */
const FIRST_PROMPT_ID = 2 ** 30;

/** A line of it. */
interface Batch extends SamplingCost {
  /** What a batch of problems gave, by their ids. */
  initial: Record<string, NonNullable<Reference["initial"]>>;
}

/**
 * The run's task, with what the initial model does with each problem that the run asks, where the length reward goes by that and the
 * task does not say. `rl.num_generations` responses to each, sampled once as rl samples and kept in the run's folder as
 * first_pass.jsonl, a line a batch of problems, so that an interruption costs one batch.
 */
export async function withFirstPass(
  gpu: Gpu,
  files: Files,
  sources: Sources,
  folder: RunFolder,
  { signal, note }: { signal: AbortSignal; note: (message: string) => void },
): Promise<Task> {
  const { task, tokenizer, stopTokenIds, modelDir } = sources;
  const { rl, model: modelConfig, train } = folder.config;
  if (LENGTH_REWARDS[rl.length_reward].needs !== "initial") return task;
  const problems = asked(sources, folder).filter(({ reference }) => reference?.initial === undefined);
  const kept = (await folder.takeRows(FIRST_PASS)) as unknown as Batch[];
  const initial: Batch["initial"] = Object.assign({}, ...kept.map((batch) => batch.initial));
  const missing = problems.filter(({ id }) => !Object.hasOwn(initial, id));
  if (missing.length > 0) {
    const sampling = {
      ...rlOptions(folder.config),
      maxTokens: largestStage(rl.max_completion_length),
      seed: train.seed,
    };
    const model = await Model.load(gpu, files, modelDir, { dtype: modelConfig.dtype });
    const sampler = new Sampler(model, engineOptions(folder.config), { onWarning: note });
    try {
      for (let first = 0; first < missing.length; first += BATCH) {
        const part = missing.slice(first, first + BATCH);
        const firstPromptId = FIRST_PROMPT_ID + problems.length - missing.length + first;
        const host = { stopTokenIds, firstPromptId, signal };
        const start = performance.now();
        const groups = await sampleRollouts(sampler, tokenizer, task, part, rl.num_generations, sampling, host);
        const cost = samplingCost(groups, start);
        const measured = groups.map((group, i) => [
          part[i]!.id,
          {
            meanLength: mean(group.map(({ length }) => length)),
            accuracy: mean(group.map(({ correct }) => Number(correct))),
          },
        ]);
        const batch: Batch = { ...cost, initial: Object.fromEntries(measured) };
        await folder.append(FIRST_PASS, [{ ...batch }]);
        Object.assign(initial, batch.initial);
        note(`first pass with the initial model: ${Object.keys(initial).length}/${problems.length} problems`);
      }
    } finally {
      model.dispose();
    }
  }
  const known = (problem: Problem): Problem =>
    problem.reference?.initial === undefined && Object.hasOwn(initial, problem.id)
      ? { ...problem, reference: { ...problem.reference, initial: initial[problem.id]! } }
      : problem;
  return withProblems(task, { train: task.train.map(known) });
}

/** The problems that a run asks, each once, in the order of asking; all where it may replace some. */
function asked({ task, tokenizer }: Sources, { config }: RunFolder): Problem[] {
  const options = rlOptions(config);
  if (options.dynamicSampling > 0) return [...new Map(task.train.map((problem) => [problem.id, problem])).values()];
  const prompts = new Prompts({ task, tokenizer }, options);
  const once = Math.ceil(task.train.length / options.numPrompts); // from then on problems come again
  const iterations = Math.min(options.maxIterations, once);
  const problems = Array.from({ length: iterations }, (_, iteration) => prompts.first(iteration)).flat();
  return [...new Map(problems.map(({ problem }) => [problem.id, problem])).values()];
}
