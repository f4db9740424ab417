import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { packSequences } from "../../src/model/batch.ts";
import { Model, type ModelDType } from "../../src/model/model.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { AdamW, type AdamWOptions } from "../../src/train/optimizer.ts";
import { tokenLogprobs } from "../../src/train/policy.ts";
import type { RlSetup } from "../../src/train/rl.ts";
import { demonstrations, trainSft, type SftMetrics, type SftOptions } from "../../src/train/sft.ts";
import { stored, testGpu } from "../helpers/gpu.ts";
import { tinyConfig } from "../helpers/models.ts";
import { ADAMW, ADAMW_BF16, toySetup, toyTask, toyTokenizer, weightBytes } from "../helpers/toy.ts";

const OPTIONS: SftOptions = {
  maxSteps: 4,
  tokensPerBatch: 60,
  tokensPerMicroBatch: 32,
  learningRate: 0.01,
  scheduler: "cosine",
  warmupSteps: 2,
  recompute: false,
};

const steps = ({ model, optimizer, task, tokenizer }: RlSetup, options: SftOptions): AsyncGenerator<SftMetrics> =>
  trainSft(model, optimizer, demonstrations(task, tokenizer, 0, 3), options);

const timeless = (metrics: SftMetrics[]) => metrics.map(({ step_time: _time, ...rest }) => rest);

test("the loss is the mean cross-entropy of the completions' tokens", async () => {
  const setup = await toySetup("float32");
  const problem = setup.task.train[0]!;
  const one = { ...setup, task: { ...setup.task, train: [problem] } };
  // One example fills the batch, so the first step sees the demonstration of seed 3 + 0 + 0: prompt 3 tokens, then "a red <end>".
  const sequence = [9, 2, 10, 11, 2, 0];
  const { logprobs } = await tokenLogprobs(setup.model, packSequences([sequence]), { temperature: 1 });
  const [first] = await Array.fromAsync(steps(one, { ...OPTIONS, maxSteps: 1, tokensPerBatch: 6 }));
  expect(first!.num_tokens).toBe(6);
  expect(first!.loss).toBeCloseTo(-(logprobs[3]! + logprobs[4]! + logprobs[5]!) / 3, 5);
  expect(first!.learning_rate).toBe(0);
});

test("the model learns the demonstrations", async () => {
  const setup = await toySetup("bfloat16");
  const metrics = await Array.fromAsync(
    steps(setup, { ...OPTIONS, maxSteps: 100, tokensPerBatch: 120, tokensPerMicroBatch: 1000 }),
  );
  expect(metrics[0]!.loss).toBeGreaterThan(2.4);
  // What is left is the choice among three fillers: log(3) nats in one token of three.
  expect(metrics.at(-1)!.loss).toBeLessThan(0.6);
  expect(metrics.at(-1)!.mean_token_accuracy).toBeGreaterThan(0.6);
  expect(metrics.every(({ num_tokens }) => num_tokens <= 120)).toBe(true);
});

test("with the optimizer's state in bf16 it learns as with f32 masters; with weights rounded to nearest it hardly does", async () => {
  const gpu = await testGpu();
  // A tenth of the last bit of weights from 0.25 to 0.5, where half of them lie at first.
  const learningRate = 2e-4;
  const options: SftOptions = {
    ...OPTIONS,
    maxSteps: 80,
    tokensPerBatch: 120,
    tokensPerMicroBatch: 1000,
    learningRate,
  };
  const config = tinyConfig({ vocab_size: 14, max_position_embeddings: 32, initializer_range: 0.3 });
  const lossAfter = async (dtype: ModelDType, adamw: AdamWOptions, afterStep?: (model: Model) => Promise<void>) => {
    const model = Model.random(gpu, config, { dtype, seed: 5 });
    await afterStep?.(model);
    const examples = demonstrations(toyTask(), toyTokenizer(), 0, 3);
    const constant = { ...options, scheduler: "constant_with_warmup", warmupSteps: 0 } as const;
    let loss = Infinity;
    for await (const metrics of trainSft(model, await AdamW.create(model, adamw), examples, constant)) {
      ({ loss } = metrics);
      await afterStep?.(model);
    }
    return loss;
  };
  const masters = await lossAfter("bfloat16", ADAMW);
  const stochastic = await lossAfter("bfloat16", ADAMW_BF16);
  const nearest = await lossAfter("float32", ADAMW, async ({ parameters }) => {
    for (const tensor of parameters.values()) gpu.write(tensor, stored(await gpu.readF32(tensor), "bf16"));
  });
  expect(masters).toBeLessThan(0.6);
  expect(Math.abs(stochastic - masters)).toBeLessThan(0.03);
  expect(nearest).toBeGreaterThan(1.5);
});

test("micro-batches and recomputation change nothing but rounding", async () => {
  const [whole] = await Array.fromAsync(
    steps(await toySetup("float32"), { ...OPTIONS, maxSteps: 1, tokensPerMicroBatch: 1000 }),
  );
  for (const change of [{ tokensPerMicroBatch: 7 }, { tokensPerMicroBatch: 1000, recompute: true }]) {
    const [split] = await Array.fromAsync(steps(await toySetup("float32"), { ...OPTIONS, maxSteps: 1, ...change }));
    expect(split!.loss).toBeCloseTo(whole!.loss, 6);
    expect(Math.abs(split!.grad_norm / whole!.grad_norm - 1)).toBeLessThan(1e-5);
  }
});

test.each([
  ["float32", "float32", ADAMW],
  ["bfloat16", "float32", ADAMW],
  ["bfloat16", "bfloat16", ADAMW_BF16],
] as const)(
  "a run resumed from a checkpoint equals one that was not interrupted, to the bit (%s, optimizer state in %s)",
  async (dtype, _state, adamw) => {
    const setup = await toySetup(dtype, undefined, adamw);
    const whole = await Array.fromAsync(steps(setup, OPTIONS));
    const dir = await mkdtemp(join(tmpdir(), "pith-sft-"));
    try {
      const before = await toySetup(dtype, undefined, adamw);
      const parts: SftMetrics[] = [];
      let path = "";
      for await (const metrics of steps(before, OPTIONS)) {
        parts.push(metrics);
        if (metrics.step < 3) continue;
        path = await saveCheckpoint(nodeFiles, dir, {
          model: before.model,
          optimizer: before.optimizer,
          state: { step: 3, num_tokens: 0 },
        });
        break;
      }
      const { state: _, ...loaded } = await loadCheckpoint(await testGpu(), nodeFiles, path, {
        dtype,
        optimizer: adamw,
      });
      parts.push(...(await Array.fromAsync(steps({ ...before, ...loaded }, OPTIONS))));
      expect(timeless(parts)).toEqual(timeless(whole));
      expect(await weightBytes(loaded.model)).toEqual(await weightBytes(setup.model));
    } finally {
      await rm(dir, { recursive: true });
    }
  },
);

test("a task that cannot be demonstrated, or has no problems, is refused", async () => {
  const setup = await toySetup("float32");
  const silent = { ...setup, task: { ...setup.task, demonstration: undefined } } as unknown as RlSetup;
  await expect(steps(silent, OPTIONS).next()).rejects.toThrow(ConfigError);
  const empty = { ...setup, task: { ...setup.task, train: [] } };
  await expect(steps(empty, OPTIONS).next()).rejects.toThrow(/expected problems to train on/);
});
