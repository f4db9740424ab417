import { ConfigError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { Model, readModelConfig } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { demonstrations, passes, trainSft, type Example } from "../train/sft.ts";
import { percent } from "../core/format.ts";
import { files, INTERRUPTED, interruptSignal, note, openSources, print } from "./host.ts";
import { openDevices } from "./devices.ts";
import { openRun, parametersOf, requireTrainable } from "./open-run.ts";
import { sftOptions } from "../train/options.ts";
import { selectedResponses } from "../train/rejection.ts";
import { resume } from "../train/resume.ts";
import type { Sources } from "../train/sources.ts";
import { printSteps } from "./steps.ts";

/** `pith sft`: supervised fine-tuning. Goes on from the newest checkpoint of its folder. */
export async function sftCommand(config: Config): Promise<number> {
  const sources = await openSources(config);
  requireTrainable(sources);
  const gpu = await openDevices(config, sources.modelDir);
  const { finished } = await runSft(gpu, sources, await openRun(config, "sft"));
  return finished ? 0 : INTERRUPTED;
}

/** The training run itself; leaves the trained model on the device. */
export async function runSft(
  gpu: Gpu,
  sources: Sources,
  folder: RunFolder,
): Promise<{ model: Model; finished: boolean }> {
  const { config } = folder;
  const { dtype } = config.model;
  const signal = interruptSignal();
  const source = await examples(gpu, sources, folder, signal);
  if (config.sft.random_init && config.lora.r > 0)
    throw new ConfigError(
      "sft.random_init: expected false with lora.r, for an adapter needs a base that is kept, got true",
    );
  const random = async () =>
    Model.random(gpu, await readModelConfig(files, sources.modelDir), { dtype, seed: config.train.seed });
  const begin = config.sft.random_init ? random : undefined;
  const progress = await resume(gpu, files, folder, sources.modelDir, note, { begin });
  const { model, optimizer } = progress;
  const options = sftOptions(config);
  note(`${sources.task.name} | ${parametersOf(model)}, ${dtype}, on ${gpu.name} | ${folder.dir}`);
  const steps = trainSft(model, optimizer, source, options, { budget: progress.budgets.microBatch, onWarning: note });
  const finished = await printSteps(steps, progress, folder, {
    signal,
    total: options.maxSteps,
    describe: ({ loss, mean_token_accuracy: accuracy }) =>
      `loss ${loss.toFixed(4)} | token accuracy ${percent(accuracy)}`,
  });
  optimizer.dispose();
  if (finished) print(`model: ${await progress.save()}`);
  return { model, finished };
}

async function examples(
  gpu: Gpu,
  sources: Sources,
  folder: RunFolder,
  signal: AbortSignal,
): Promise<Generator<Example, never>> {
  const { sft, train } = folder.config;
  if (sft.data === "shortest_correct") {
    const selected = await selectedResponses(gpu, files, sources, folder, { kind: "shortest", signal, note });
    return passes(
      selected.map(({ promptTokenIds, shortest }) => ({ promptTokenIds, completionTokenIds: shortest })),
      train.seed,
    );
  }
  return demonstrations(sources.task, sources.tokenizer, sources.stopTokenIds[0]!, train.seed);
}
