import { ConfigError } from "../errors.ts";
import { Model, readModelConfig } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import { RunFolder } from "../run/run-folder.ts";
import { latestCheckpoint, loadCheckpoint, saveCheckpoint } from "../train/checkpoint.ts";
import { AdamW } from "../train/optimizer.ts";
import { trainSft } from "../train/sft.ts";
import { duration, files, interruptSignal, note, openGpu, openSources, percent, print } from "./host.ts";
import { adamwOptions, sftOptions } from "./options.ts";

/** `pith sft`: supervised fine-tuning on the task's demonstrations. Goes on from the newest checkpoint of its folder. */
export async function sftCommand(config: Config): Promise<number> {
  const sources = await openSources(config);
  const gpu = await openGpu(config.device.adapter);
  const folder = await RunFolder.open(files, config);
  const { dtype } = config.model;
  const [stopTokenId] = sources.stopTokenIds;
  if (stopTokenId === undefined)
    throw new ConfigError(`${sources.modelDir}: expected an eos_token_id to end demonstrations with, got none`);

  const checkpoint = await latestCheckpoint(files, folder.checkpoints);
  const fresh = async () => {
    const model = config.sft.random_init
      ? Model.random(gpu, await readModelConfig(files, sources.modelDir), { dtype, seed: config.train.seed })
      : await Model.load(gpu, files, sources.modelDir, { dtype });
    return { model, optimizer: await AdamW.create(model, adamwOptions(config)), state: { step: 0, num_tokens: 0 } };
  };
  const { model, optimizer, state } = checkpoint
    ? await loadCheckpoint(gpu, files, checkpoint, { dtype, optimizer: adamwOptions(config) })
    : await fresh();
  await folder.cutBack(state.step);
  const options = sftOptions(config);
  note(`${sources.task.name} | ${model.numParameters} parameters, ${dtype}, on ${gpu.name} | ${folder.dir}`);

  const signal = interruptSignal();
  const start = performance.now();
  const firstStep = state.step;
  const save = () =>
    saveCheckpoint(files, folder.checkpoints, { model, optimizer, state: { ...state }, source: sources.modelDir });
  for await (const metrics of trainSft(model, optimizer, sources.task, sources.tokenizer, stopTokenId, options)) {
    const { step, ...logged } = metrics;
    state.step = step;
    state.num_tokens += metrics.num_tokens;
    await folder.log(step, logged);
    const perStep = (performance.now() - start) / 1000 / (step - firstStep);
    if (step % 10 === 0 || step === options.maxSteps) {
      print(
        `step ${step}/${options.maxSteps} | loss ${metrics.loss.toFixed(4)} | token accuracy ${percent(metrics.mean_token_accuracy)} | ` +
          `grad ${metrics.grad_norm.toFixed(2)} | lr ${metrics.learning_rate.toExponential(1)} | ` +
          `${Math.round(metrics.num_tokens / metrics.step_time)} tok/s | ${duration(perStep * (options.maxSteps - step))} left`,
      );
    }
    if (step % config.train.save_every === 0 || step === options.maxSteps || signal.aborted) {
      await save();
      await folder.writeEvents();
    }
    if (signal.aborted) {
      note(`interrupted after step ${step}; the same command goes on from there`);
      return 130;
    }
  }
  print(`model: ${await save()}`);
  return 0;
}
