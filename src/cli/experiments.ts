import { UsageError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { Model } from "../model/model.ts";
import type { Experiment, Overrides } from "../reproduce/experiment.ts";
import type { Measurement, Outcome } from "../reproduce/results.ts";
import { replaceFile } from "../runtime/aside.ts";
import { deepMerge, loadConfig, type Config } from "../run/config.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { checkpointSteps } from "../train/checkpoint.ts";
import type { Evaluation } from "../train/evaluate.ts";
import { FIRST_PASS } from "../train/first-pass.ts";
import { REJECTION } from "../train/rejection.ts";
import type { SamplingCost } from "../train/sampling-cost.ts";
import type { Sources } from "../train/sources.ts";
import { percent } from "../core/format.ts";
import { runDpo } from "./dpo.ts";
import { evaluateModel } from "./eval.ts";
import { files, note, openGpu, openSources } from "./host.ts";
import { openRun } from "./open-run.ts";
import { runSft } from "./sft.ts";
import { shipped } from "./shipped.ts";
import { runTraining } from "./train.ts";

/** Held-out problems that a checkpoint along training is scored on. */
const CHECKPOINT_PROBLEMS = 200;

/** In a run's folder, once it is finished and scored. */
const OUTCOME = "outcome.json";

const TRAINERS = { train: runTraining, sft: runSft, dpo: runDpo } as const;

/** Where experiments run, and what they have in common. */
export interface ExperimentHost {
  gpu: Gpu;
  /** Each run has its folder in it, and what is finished is not done again: several processes may do a seed each. */
  dir: string;
  /** What all of them change of configs/start.toml. */
  common: Overrides;
}

export interface ReproduceOptions {
  quick: boolean;
  seeds: readonly number[];
  dir: string;
  adapter?: string;
}

/** Opens the folder and the adapter that experiments run in. */
export async function openHost({ seeds, dir, adapter }: Omit<ReproduceOptions, "quick">): Promise<ExperimentHost> {
  if (seeds.length === 0) throw new UsageError("--seeds: expected at least one, such as 1,2,3");
  await files.mkdir(dir);
  return { gpu: await openGpu(adapter), dir, common: {} };
}

/** configs/start.toml with what all experiments change of it, and then one. */
export const experimentConfig = (
  { common }: Pick<ExperimentHost, "common">,
  overrides: Overrides = {},
): Promise<Config> => loadConfig(files, [shipped("configs/start.toml")], deepMerge(common, overrides));

/** The model before any training, on the held-out problems. */
export async function evaluateBase(host: ExperimentHost): Promise<Evaluation> {
  const { gpu, dir } = host;
  const path = `${dir}/base.json`;
  if (await files.exists(path)) return JSON.parse(await files.readText(path)) as Evaluation;
  const config = await experimentConfig(host);
  const sources = await openSources(config);
  const model = await Model.load(gpu, files, sources.modelDir, { dtype: config.model.dtype });
  const evaluation = await evaluateModel(model, sources, config, "base");
  model.dispose();
  await replaceFile(path, JSON.stringify(evaluation)); // several processes may do a seed each
  return evaluation;
}

/** Every experiment of every seed, one after the other; null if they were interrupted. */
export async function runExperiments(
  host: ExperimentHost,
  plan: readonly Experiment[],
  seeds: readonly number[],
): Promise<Outcome[] | null> {
  const outcomes: Outcome[] = [];
  for (const seed of seeds) {
    for (const experiment of plan) {
      const { name, method, knob, strength } = experiment;
      note(`reproduce ${outcomes.length + 1}/${seeds.length * plan.length}: ${name}, seed ${seed}`);
      const measurement = await runExperiment(host, experiment, seed);
      if (!measurement) return null;
      outcomes.push({ ...measurement, method, knob, strength, seed });
    }
  }
  return outcomes;
}

/** Null if it was interrupted. */
async function runExperiment(host: ExperimentHost, experiment: Experiment, seed: number): Promise<Measurement | null> {
  const { gpu, dir } = host;
  const { name, trainer, overrides, samples, evaluatesCheckpoints } = experiment;
  const folderOf = (other: string) => `${dir}/seed-${seed}/${other}`;
  const run = folderOf(name);
  if (await files.exists(`${run}/${OUTCOME}`))
    return JSON.parse(await files.readText(`${run}/${OUTCOME}`)) as Measurement;
  const config = await experimentConfig(host, deepMerge(overrides, { train: { seed, output_dir: run } }) as Overrides);
  const sources = await openSources(config);
  const folder = await openRun(config, trainer);
  if (samples !== undefined) {
    const theirs = `${folderOf(samples)}/${REJECTION}`;
    if ((await files.exists(theirs)) && !(await files.exists(`${run}/${REJECTION}`)))
      await folder.write(REJECTION, await files.readText(theirs));
  }

  const { model, finished } = await TRAINERS[trainer](gpu, sources, folder);
  if (!finished) return null;
  const { completions: _, ...final } = await evaluateModel(model, sources, config, name);
  model.dispose();
  note(`${name}, seed ${seed}: ${percent(final.accuracy)}, ${final.mean_length.toFixed(1)} tokens`);
  const rows = await folder.readMetrics();
  const measurement = {
    final,
    checkpoints: evaluatesCheckpoints ? await scoreCheckpoints(gpu, sources, folder) : [],
    dynamics: rows.flatMap((row) =>
      "accuracy" in row
        ? [{ accuracy: Number(row["accuracy"]), mean_length: Number(row["completions/mean_length"]) }]
        : [],
    ),
    ...(await costOf(folder, rows)),
  };
  await folder.write(OUTCOME, JSON.stringify(measurement));
  return measurement;
}

/** What a run sampled and how long it took, by `rows` of its metrics and what it sampled before: interruptions do not count. */
async function costOf(
  folder: RunFolder,
  rows: Awaited<ReturnType<RunFolder["readMetrics"]>>,
): Promise<Pick<Measurement, "num_sampled_tokens" | "seconds">> {
  const before = [
    ...(await folder.takeRows(FIRST_PASS)),
    ...(await folder.takeRows(REJECTION)),
  ] as unknown as SamplingCost[];
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  // Reinforcement learning counts what it has sampled so far, its first pass with it.
  const inTraining = rows.at(-1)?.["num_sampled_tokens"];
  return {
    num_sampled_tokens: Number(inTraining ?? sum(before.map(({ num_sampled_tokens: tokens }) => tokens))),
    seconds: sum(rows.map((row) => Number(row["step_time"]))) + sum(before.map(({ rollout_time: time }) => time)),
  };
}

/** The checkpoints before the last one. */
async function scoreCheckpoints(
  gpu: Gpu,
  sources: Sources,
  { config, checkpoints }: RunFolder,
): Promise<Measurement["checkpoints"]> {
  const fewer: Config = { ...config, eval: { ...config.eval, num_problems: CHECKPOINT_PROBLEMS } };
  const scores: Measurement["checkpoints"] = [];
  for (const { step, path } of (await checkpointSteps(files, checkpoints)).slice(0, -1)) {
    const model = await Model.load(gpu, files, path, { dtype: config.model.dtype });
    const { accuracy, mean_length } = await evaluateModel(model, sources, fewer, `step ${step}`);
    model.dispose();
    scores.push({ iteration: step, accuracy, mean_length });
  }
  return scores;
}
