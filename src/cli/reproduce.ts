import process from "node:process";
import { UsageError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { Model } from "../model/model.ts";
import { claims } from "../reproduce/claims.ts";
import { experiments, type Experiment, type Method } from "../reproduce/plan.ts";
import { tableRows, type Outcome } from "../reproduce/results.ts";
import { loadConfig, type Config } from "../run/config.ts";
import type { RunFolder, RunKind } from "../run/run-folder.ts";
import type { Evaluation } from "../train/evaluate.ts";
import { runDpo } from "./dpo.ts";
import { evaluateModel } from "./eval.ts";
import { percent } from "../core/format.ts";
import { duration, files, INTERRUPTED, note, openGpu, openSources, print } from "./host.ts";
import { openRun } from "./open-run.ts";
import { REJECTION } from "../train/rejection.ts";
import type { Sources } from "../train/sources.ts";
import { runSft } from "./sft.ts";
import { shipped } from "./shipped.ts";
import { runTraining } from "./train.ts";

const START = shipped("configs/start.toml");

const KINDS: Readonly<Record<Method, RunKind>> = { RL: "train", "RL, normalised": "train", SFT: "sft", DPO: "dpo" };

/** Held-out problems that a checkpoint along training is scored on. */
const CHECKPOINT_PROBLEMS = 200;

export interface ReproduceOptions {
  quick: boolean;
  seeds: readonly number[];
  dir: string;
  adapter?: string;
}

/**
 * `pith reproduce`: the paper's methods on the bundled reasoner, seed by seed. Every run keeps its own folder and what is
 * finished is not done again, so the command goes on where it was interrupted, and seeds can be done by several processes.
 */
export async function reproduceCommand({ quick, seeds, dir, adapter }: ReproduceOptions): Promise<number> {
  if (seeds.length === 0) throw new UsageError("--seeds: expected at least one, such as 1,2,3");
  const start = performance.now();
  await files.mkdir(dir);
  const gpu = await openGpu(adapter);
  const plan = experiments({ quick });
  const base = await evaluateBase(gpu, dir);
  const outcomes: Outcome[] = [];
  let done = 0;
  for (const seed of seeds) {
    for (const experiment of plan) {
      note(`reproduce ${++done}/${seeds.length * plan.length}: ${experiment.name}, seed ${seed}`);
      const outcome = await runExperiment(gpu, dir, experiment, seed);
      if (!outcome) return INTERRUPTED;
      outcomes.push(outcome);
    }
  }

  const config = await loadConfig(files, [START], {});
  const rows = tableRows(base, outcomes, config.eval.max_completion_length);
  const verdicts = claims(base, rows, outcomes);
  const facts = {
    adapter: gpu.name,
    seeds: seeds.join(", "),
    iterations: `${config.rl.max_iterations} of ${config.rl.num_prompts} x ${config.rl.num_generations} responses`,
    evaluation: `${config.eval.num_problems} held-out problems, temperature ${config.eval.temperature}`,
  };
  const { renderReproduction } = await import("../reproduce/page.ts");
  await files.write(`${dir}/reproduce.html`, renderReproduction({ facts, rows, outcomes, claims: verdicts }));
  await files.write(`${dir}/reproduce.json`, `${JSON.stringify({ facts, rows, claims: verdicts }, null, 1)}\n`);

  print(`${"model type".padEnd(16)} alpha     tokens      pass rate    ctx`);
  for (const row of rows) {
    const interval = (value: string, half: string) => (row.seeds > 1 ? `${value} ± ${half}` : value);
    print(
      `${row.method.padEnd(16)} ${String(row.alpha ?? "-").padEnd(5)} ${interval(row.tokens.toFixed(1), row.tokensHalf.toFixed(1)).padStart(12)} ` +
        `${interval(row.accuracy.toFixed(3), row.accuracyHalf.toFixed(3)).padStart(15)} ${String(row.context).padStart(5)}`,
    );
  }
  print();
  for (const { claim, seen, holds } of verdicts)
    print(`${holds ? "holds         " : "does not hold "} ${claim} (${seen})`);
  print();
  print(`${dir}/reproduce.html`);
  note(`${duration((performance.now() - start) / 1000)} in all`);
  return 0;
}

async function evaluateBase(gpu: Gpu, dir: string): Promise<Evaluation> {
  return cached(`${dir}/base.json`, async () => {
    const config = await loadConfig(files, [START], {});
    const sources = await openSources(config);
    const model = await Model.load(gpu, files, sources.modelDir, { dtype: config.model.dtype });
    const evaluation = await evaluateModel(model, sources, config, "base");
    model.dispose();
    return evaluation;
  }) as Promise<Evaluation>;
}

/** What `path` holds, or what `make` makes and leaves there; null is left to be made another time. */
async function cached<T>(path: string, make: () => Promise<T | null>): Promise<T | null> {
  if (await files.exists(path)) return JSON.parse(await files.readText(path)) as T;
  const value = await make();
  if (value !== null) {
    // Aside first, each process for itself: one that is killed leaves nothing or all of it.
    const aside = `${path}.unfinished_${process.pid}`;
    await files.write(aside, JSON.stringify(value));
    await files.rename(aside, path);
  }
  return value;
}

/** Null if it was interrupted. */
async function runExperiment(gpu: Gpu, dir: string, experiment: Experiment, seed: number): Promise<Outcome | null> {
  const folderOf = (name: string) => `${dir}/seed-${seed}/${name}`;
  const run = folderOf(experiment.name);
  return cached(`${run}/outcome.json`, async () => {
    const config = await loadConfig(files, [START], {
      ...experiment.overrides,
      train: { seed, output_dir: run },
    });
    const sources = await openSources(config);
    const folder = await openRun(config, KINDS[experiment.method]);
    // Both offline baselines learn from the same samples.
    const samples = `${folderOf("sft")}/${REJECTION}`;
    if (experiment.method === "DPO" && (await files.exists(samples)))
      await folder.write(REJECTION, await files.readText(samples));

    const train = { SFT: runSft, DPO: runDpo, RL: runTraining, "RL, normalised": runTraining }[experiment.method];
    const { model, finished } = await train(gpu, sources, folder);
    if (!finished) return null;
    const { completions: _, ...final } = await evaluateModel(model, sources, config, experiment.name);
    model.dispose();
    note(`${experiment.name}, seed ${seed}: ${percent(final.accuracy)}, ${final.mean_length.toFixed(1)} tokens`);
    const { method, alpha } = experiment;
    return {
      method,
      alpha,
      seed,
      final,
      checkpoints: method === "RL" ? await scoreCheckpoints(gpu, sources, folder) : [],
      dynamics: (await folder.readMetrics()).flatMap((row) =>
        "accuracy" in row
          ? [{ accuracy: Number(row["accuracy"]), mean_length: Number(row["completions/mean_length"]) }]
          : [],
      ),
    };
  });
}

/** The checkpoints before the last one. */
async function scoreCheckpoints(gpu: Gpu, sources: Sources, folder: RunFolder): Promise<Outcome["checkpoints"]> {
  const config: Config = {
    ...folder.config,
    eval: { ...folder.config.eval, num_problems: CHECKPOINT_PROBLEMS },
  };
  const names = (await files.list(folder.checkpoints)).filter((name) => name.startsWith("step_")).sort();
  const scores: Outcome["checkpoints"] = [];
  for (const name of names.slice(0, -1)) {
    const model = await Model.load(gpu, files, `${folder.checkpoints}/${name}`, { dtype: config.model.dtype });
    const { accuracy, mean_length } = await evaluateModel(model, sources, config, name);
    model.dispose();
    scores.push({ iteration: Number(name.slice("step_".length)), accuracy, mean_length });
  }
  return scores;
}
