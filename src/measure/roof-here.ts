import { ConfigError } from "../errors.ts";
import type { DeviceGpu } from "../gpu/device-gpu.ts";
import type { ModelConfig } from "../model/config.ts";
import { STORAGE, type ModelDType } from "../model/model.ts";
import type { Rollouts } from "./engine.ts";
import { randomModel } from "./models.ts";
import { measureRoof, tooLong } from "./roof.ts";
import type { AdapterRoof } from "./roofs.ts";
import { Stopwatch } from "./stopwatch.ts";
import { iteration, planIteration } from "./training.ts";
import { refusal } from "./workloads.ts";

/** Enough sequences to fill a step of decoding, and few tokens of each. */
const SHORT: Rollouts = { prompts: 8, mean: 32, longest: 128 };

const MOST_SECONDS = 300;

/**
 * The adapter at hand: the fastest product and copy that were measured, and for each phase of an iteration by how much a short one
 * of this model, with random weights, took longer than these would allow it. It takes the adapter's memory for training the whole model.
 *
 * @throws ConfigError where the adapter cannot hold the model, or may take minutes for the short iteration
 */
export async function roofHere(device: DeviceGpu, config: ModelConfig, dtype: ModelDType): Promise<AdapterRoof> {
  const watch = new Stopwatch(device);
  const { flops, bytes } = await measureRoof(watch);
  const roof: AdapterRoof = { name: device.name, flops, bytes, reached: { flops: 1, bytes: 1 }, traits: device };
  const short = iteration(config, STORAGE[dtype], dtype, SHORT);
  const reason =
    refusal(device, config, dtype, short.part) ?? tooLong(roof, STORAGE[dtype], short.estimate, MOST_SECONDS);
  if (reason) throw new ConfigError(`a short iteration of this model is not measured on ${device.name}: ${reason}`);
  const model = randomModel(device, config, dtype);
  try {
    const lines = await short.run(watch, model, MOST_SECONDS);
    const planned = await planIteration(config, dtype, roof, SHORT, lines[0]!.tokens!);
    const time = (name: keyof typeof planned) => {
      const { timing } = lines.find((line) => line.name === name)!;
      return timing.ms.median / 1000 / planned[name];
    };
    const rollout = time("rollout");
    const times = {
      prefill: rollout,
      decode: rollout,
      reference: time("reference log-probabilities"),
      update: time("gradient"),
      optimizer: time("optimizer step"),
    };
    return { ...roof, times };
  } finally {
    model.dispose();
    await device.trim();
  }
}
