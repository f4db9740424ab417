import shape from "../../configs/shapes/Qwen/Qwen2.5-0.5B.json" with { type: "json" };
import { randomAt } from "../../src/core/rng.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { loadTokenizer } from "../../src/hf/tokenizer.ts";
import { parseModelConfig } from "../../src/model/config.ts";
import { LoraModel } from "../../src/model/lora.ts";
import { Model } from "../../src/model/model.ts";
import type { Files } from "../../src/runtime/types.ts";
import { arithmeticTask } from "../../src/tasks/arithmetic.ts";
import { AdamW } from "../../src/train/optimizer.ts";
import { trainRl } from "../../src/train/rl.ts";
import { PAPER, type RlOptions } from "../../src/train/rl-options.ts";

const OPTIONS: RlOptions = {
  ...PAPER,
  alpha: { alpha: 0.2 },
  numPrompts: 2,
  numGenerations: 2,
  numSteps: 1,
  maxIterations: 2,
  maxCompletionLength: 8,
  temperature: 1,
  topK: 0,
  topP: 1,
  beta: 1e-3,
  klEstimator: "none",
  epsilon: 0.2,
  learningRate: 1e-3,
  scheduler: "constant_with_warmup",
  warmupSteps: 0,
  tokensPerMicroBatch: 512,
  recompute: true,
  seed: 1,
  engine: { maxModelLen: 64, maxNumSeqs: 4 },
};

/** An iteration, and the seconds that it took. */
export interface Seen {
  meanLength: number;
  rewardStd: number;
  gradNorm: number;
  kl: number;
  difference: number;
  seconds: number;
}

/**
 * Trains adapters over `layers` layers of Qwen2.5-0.5B's shape, with random weights, for two iterations. Of the tokens, which are
 * anything, every fourth ends a response, and each response that ends is right: so lengths, and with them rewards, differ. `dir` holds a
 * tokenizer.
 */
export async function trainShape(gpu: Gpu, files: Files, dir: string, layers: number): Promise<Seen[]> {
  const config = parseModelConfig({ ...shape, num_hidden_layers: layers }, "Qwen2.5-0.5B");
  const base = Model.random(gpu, config, { dtype: "bfloat16", seed: 1 });
  const lora = { r: 8, alpha: 32, useRslora: false, targetModules: "all-linear", baseModel: null } as const;
  const model = await LoraModel.create(base, lora, { seed: 1 });
  const optimizer = await AdamW.create(model, { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 });
  const task = {
    ...arithmeticTask(),
    judge: () => ({ correct: true, extracted: "", gold: "", reason: "it ended" }),
  };
  const stopTokenIds = Array.from(
    { length: config.vocabSize / 4 },
    (_, i) => 4 * i + Math.floor(4 * randomAt(9, i, 0)),
  );
  const tokenizer = await loadTokenizer(files, dir);
  const seen: Seen[] = [];
  for await (const { metrics } of trainRl(
    { model, reference: base, optimizer, tokenizer, stopTokenIds, task },
    OPTIONS,
  ))
    seen.push({
      meanLength: metrics["completions/mean_length"],
      rewardStd: metrics.reward_std,
      gradNorm: metrics.grad_norm,
      kl: metrics.kl,
      difference: metrics["sampling/logp_difference_max"],
      seconds: metrics.step_time,
    });
  optimizer.dispose();
  model.dispose();
  base.dispose();
  return seen;
}
