import { ConfigError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { Model } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { trainDpo, type PreferencePair } from "../train/dpo.ts";
import { percent } from "../core/format.ts";
import { files, INTERRUPTED, interruptSignal, note, openSources, print } from "./host.ts";
import { openDevices } from "./devices.ts";
import { openRun, parametersOf, requireTrainable } from "./open-run.ts";
import { dpoOptions } from "../train/options.ts";
import { selectedResponses } from "../train/rejection.ts";
import { resume } from "../train/resume.ts";
import type { Sources } from "../train/sources.ts";
import { printSteps } from "./steps.ts";

/** `pith dpo`: prefers the model's shortest correct responses, or what is left of cut ones, to its longest. Goes on from the newest checkpoint. */
export async function dpoCommand(config: Config): Promise<number> {
  const sources = await openSources(config);
  requireTrainable(sources);
  requireSolutions(sources, config);
  const gpu = await openDevices(config, sources.modelDir);
  const { finished } = await runDpo(gpu, sources, await openRun(config, "dpo"));
  return finished ? 0 : INTERRUPTED;
}

/** @throws ConfigError where responses are to be cut that the task has no places to cut at */
function requireSolutions({ task }: Sources, { dpo }: Config): void {
  if (dpo.data === "shortest" || task.solutions) return;
  throw new ConfigError(
    `dpo.data: expected "shortest" for the task ${task.name}, which has no \`solutions\` to say where responses reach answers, got "${dpo.data}"`,
  );
}

/** The training run itself; leaves the trained model on the device. */
export async function runDpo(
  gpu: Gpu,
  sources: Sources,
  folder: RunFolder,
): Promise<{ model: Model; finished: boolean }> {
  const { config } = folder;
  const { dtype } = config.model;
  const { data: kind } = config.dpo;
  const signal = interruptSignal();
  const selected = await selectedResponses(gpu, files, sources, folder, { kind, signal, note });
  const pairs = selected.flatMap(({ promptTokenIds, shortest, longest }): PreferencePair[] =>
    longest ? [{ promptTokenIds, chosen: shortest, rejected: longest }] : [],
  );
  if (pairs.length === 0)
    throw new ConfigError(
      `${sources.task.name}: expected pairs of a shorter and a longer correct response, got none; raise rejection.num_prompts`,
    );
  const progress = await resume(gpu, files, folder, sources.modelDir, note);
  const { model, optimizer } = progress;
  const options = dpoOptions(config);
  const needsReference = options.lossType !== "simpo";
  const reference = needsReference ? (model.base ?? (await Model.load(gpu, files, sources.modelDir, { dtype }))) : null;
  note(`${sources.task.name} | ${pairs.length} pairs | ${parametersOf(model)}, ${dtype}, on ${gpu.name}`);
  const steps = trainDpo(model, reference, optimizer, pairs, options, {
    budget: progress.budgets.microBatch,
    onWarning: note,
  });
  const finished = await printSteps(steps, progress, folder, {
    signal,
    total: options.maxSteps,
    describe: (m) =>
      `loss ${m.loss.toFixed(4)} | prefers ${percent(m["rewards/accuracies"])} | margin ${m["rewards/margins"].toFixed(3)}`,
  });
  optimizer.dispose();
  if (reference !== model.base) reference?.dispose();
  if (finished) print(`model: ${await progress.save()}`);
  return { model, finished };
}
