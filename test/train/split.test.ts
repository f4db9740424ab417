import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, DeviceLostError } from "../../src/errors.ts";
import type { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { splitGpu } from "../../src/gpu/split-gpu.ts";
import { LoraModel } from "../../src/model/lora.ts";
import { Model, type ModelDType } from "../../src/model/model.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { AdamW, type AdamWOptions } from "../../src/train/optimizer.ts";
import { trainRl, type RlMetrics } from "../../src/train/rl.ts";
import { files, openGpu, temporaryFolder } from "../helpers/host.ts";
import { tinyConfig } from "../helpers/models.ts";
import { twoAdapters } from "../helpers/second-adapter.ts";
import { ADAMW, ADAMW_BF16, TOY_RL, toyTask, toyTokenizer, weightBytes } from "../helpers/toy.ts";

const folder = temporaryFolder();
let devices: DeviceGpu[];
beforeAll(async () => {
  // Where there is one adapter, two devices on it.
  devices = (await twoAdapters()) ?? [await openGpu(), await openGpu()];
});
afterAll(() => {
  for (const device of devices) device.dispose();
});

interface Case {
  dtype: ModelDType;
  /** Whether the embedding is the head too. */
  tied: boolean;
  recompute: boolean;
  adamw: AdamWOptions;
  adapters: boolean;
}

const LORA = { r: 4, alpha: 8, useRslora: false, targetModules: "all-linear", baseModel: "toy" } as const;
const WHOLE: Case = { dtype: "bfloat16", tied: false, recompute: true, adamw: ADAMW, adapters: false };
const OFFLOADED = { ...WHOLE, tied: true, recompute: false, adamw: { ...ADAMW_BF16, offload: true } };

interface Trainee {
  base: Model;
  model: Model;
  optimizer: AdamW;
}

async function fresh(gpu: Gpu, { dtype, tied, adamw, adapters }: Case): Promise<Trainee> {
  const sizes = { vocab_size: 14, num_hidden_layers: 4, max_position_embeddings: 32, tie_word_embeddings: tied };
  const base = Model.random(gpu, tinyConfig(sizes), { dtype, seed: 5 });
  const model = adapters ? await LoraModel.create(base, LORA, { seed: 1 }) : base;
  return { base, model, optimizer: await AdamW.create(model, adamw) };
}

async function* iterations({ base, model, optimizer }: Trainee, recompute: boolean, maxIterations: number) {
  const reference = model === base ? await base.clone() : base;
  const setup = { model, reference, optimizer, tokenizer: toyTokenizer(), task: toyTask(), stopTokenIds: [0] };
  const few = { numPrompts: 2, numGenerations: 4, maxCompletionLength: 6, tokensPerMicroBatch: 32 };
  for await (const { metrics } of trainRl(setup, { ...TOY_RL, ...few, recompute, maxIterations })) yield metrics;
  if (reference !== base) reference.dispose();
}

/** What is trained: every metric but times, and all bytes. */
async function trained(gpu: Gpu, some: Case, maxIterations: number) {
  const trainee = await fresh(gpu, some);
  const metrics: RlMetrics[] = [];
  for await (const row of iterations(trainee, some.recompute, maxIterations))
    metrics.push({ ...row, rollout_time: 0, step_time: 0 });
  const weights = new Map<string, Uint8Array>();
  for (const [name, tensor] of trainee.model.trainable) weights.set(name, await gpu.readBytes(tensor));
  trainee.optimizer.dispose();
  for (const model of new Set([trainee.model, trainee.base])) model.dispose();
  return { metrics, weights };
}

describe("layers over several devices train to the bits of one", () => {
  test.each([
    { layers: [2, 2], what: "all weights", count: 5, ...WHOLE },
    { layers: [3, 1], what: "a tied embedding, the optimizer's state in host memory", count: 5, ...OFFLOADED },
    { layers: [1, 3], what: "adapters", count: 4, ...WHOLE, adapters: true },
  ])("$layers, $what, $count iterations", async ({ layers, what: _, count, ...some }) => {
    const gpu = splitGpu(devices, layers);
    const before = devices.map(({ pool }) => pool.usedBytes);
    const split = await trained(gpu, some, count);
    expect(devices.map(({ pool }) => pool.usedBytes)).toEqual(before);
    expect(split.metrics.map((row) => row["sampling/logp_difference_max"])).toEqual(Array(count).fill(0));
    expect(split.metrics.some(({ kl }) => kl !== 0)).toBe(true);
    expect(split).toEqual(await trained(devices[0]!, some, count));
  });
});

test("a device that is lost is named, and one goes on from the last checkpoint without it", async () => {
  const [first, second] = await Promise.all([openGpu(), openGpu()]);
  const trainee = await fresh(splitGpu([first!, second!], [2, 2]), WHOLE);
  let path = "";
  let weights = {};
  const run = async () => {
    for await (const { iteration } of iterations(trainee, true, 3)) {
      const state = { step: iteration, num_tokens: 0 };
      path = await saveCheckpoint(files, folder, { ...trainee, state });
      weights = await weightBytes(trainee.model);
      second!.device.destroy();
    }
  };
  const lost = run();
  await expect(lost).rejects.toThrow(DeviceLostError);
  await expect(lost).rejects.toThrow(/^GPU device 2 of 2, with layers 2 to 3, was lost \(.*last checkpoint$/);
  const loaded = await loadCheckpoint(devices[0]!, files, path, { dtype: "bfloat16", optimizer: ADAMW });
  expect(loaded.state.step).toBe(1);
  expect(await weightBytes(loaded.model)).toEqual(weights);
  first!.dispose();
});

test("devices that are not alike are refused", async () => {
  const other = await openGpu(undefined, "baseline");
  expect(() => splitGpu([devices[0]!, other], [1, 1])).toThrow(ConfigError);
  other.dispose();
});
