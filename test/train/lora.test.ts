import { expect, test } from "vitest";
import type { LoraConfig } from "../../src/hf/peft.ts";
import { LoraModel } from "../../src/model/lora.ts";
import type { Model } from "../../src/model/model.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { trainDpo } from "../../src/train/dpo.ts";
import { AdamW } from "../../src/train/optimizer.ts";
import { trainRl, type RlMetrics, type RlSetup } from "../../src/train/rl.ts";
import { demonstrations, trainSft } from "../../src/train/sft.ts";
import { testGpu } from "../helpers/gpu.ts";
import { files, temporaryFolder } from "../helpers/host.ts";
import { ADAMW, TOY_RL, toyModel, toyTask, toyTokenizer, weightBytes } from "../helpers/toy.ts";

const root = temporaryFolder();
const LORA: LoraConfig = { r: 4, alpha: 8, useRslora: false, targetModules: "all-linear", baseModel: "toy" };

interface Adapted {
  base: Model;
  model: Model;
  optimizer: AdamW;
}

async function fresh(dtype: Model["dtype"]): Promise<Adapted> {
  const base = await toyModel(dtype);
  const model = await LoraModel.create(base, LORA, { seed: 1 });
  return { base, model, optimizer: await AdamW.create(model, ADAMW) };
}

async function adapterBytes(model: Model): Promise<Record<string, Uint8Array>> {
  const bytes: Record<string, Uint8Array> = {};
  for (const [name, tensor] of model.trainable) bytes[name] = await model.gpu.readBytes(tensor);
  return bytes;
}

async function iterations({ base, model, optimizer }: Adapted, from: number, to: number): Promise<RlMetrics[]> {
  const task = { tokenizer: toyTokenizer(), task: toyTask(), stopTokenIds: [0] };
  const setup: RlSetup = { model, reference: base, optimizer, ...task };
  const metrics: RlMetrics[] = [];
  for await (const iteration of trainRl(setup, { ...TOY_RL, maxIterations: to }, { done: from }))
    metrics.push(iteration.metrics);
  return metrics;
}

const withoutTimes = (metrics: readonly RlMetrics[]) =>
  metrics.map((row) => ({ ...row, rollout_time: 0, step_time: 0 }));

test.each(["float32", "bfloat16"] as const)(
  "in %s an adapter is trained, the base beside it keeps its bits, and a resumed run is the same",
  async (dtype) => {
    const whole = await fresh(dtype);
    const before = await weightBytes(whole.base);
    const first = await iterations(whole, 0, 2);
    const state = { step: 2, num_tokens: 0 };
    const path = await saveCheckpoint(files, `${root}/${dtype}`, { ...whole, state });
    expect((await files.list(path)).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "optimizer.safetensors",
      "trainer_state.json",
    ]);
    const rest = await iterations(whole, 2, 4);
    expect(await weightBytes(whole.base)).toEqual(before);
    const metrics = [...first, ...rest];
    expect(metrics.map((row) => row["sampling/logp_difference_max"])).toEqual([0, 0, 0, 0]);
    expect(metrics[0]!.kl).toBe(0);
    expect(metrics[3]!.kl).not.toBe(0);

    const base = await toyModel(dtype);
    const gpu = await testGpu();
    const loaded = await loadCheckpoint(gpu, files, path, { dtype, optimizer: ADAMW, base });
    expect(withoutTimes(await iterations({ base, ...loaded }, 2, 4))).toEqual(withoutTimes(rest));
    expect(await adapterBytes(loaded.model)).toEqual(await adapterBytes(whole.model));
    expect([...loaded.optimizer.gradients.keys()]).toEqual([...whole.model.trainable.keys()]);
  },
);

const SCHEDULE = {
  tokensPerMicroBatch: 128,
  learningRate: 2e-2,
  scheduler: "constant_with_warmup" as const,
  warmupSteps: 0,
  recompute: true,
};

test("supervised fine-tuning teaches an adapter", async () => {
  const { model, optimizer } = await fresh("bfloat16");
  const losses: number[] = [];
  const options = { ...SCHEDULE, maxSteps: 30, tokensPerBatch: 64 };
  for await (const { loss } of trainSft(model, optimizer, demonstrations(toyTask(), toyTokenizer(), 0, 1), options))
    losses.push(loss);
  expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.2);
});

test("preference optimisation of an adapter begins at log 2, its base the reference", async () => {
  const { base, model, optimizer } = await fresh("bfloat16");
  const pairs = [2, 3, 4].map((word) => ({ promptTokenIds: [9, word, 10], chosen: [word, 0], rejected: [11, 12, 0] }));
  const loss = { lossType: "sigmoid", beta: 0.5, simpoGamma: 0 } as const;
  const options = { ...SCHEDULE, ...loss, maxSteps: 12, pairsPerBatch: 3, seed: 1 };
  const losses: number[] = [];
  for await (const { loss } of trainDpo(model, base, optimizer, pairs, options)) losses.push(loss);
  expect(losses[0]).toBeCloseTo(Math.LN2, 6);
  expect(losses.at(-1)).toBeLessThan(0.55);
});
