import type { EvaluateOptions } from "../../src/train/evaluate.ts";
import type { AdamWOptions } from "../../src/train/optimizer.ts";
import { PAPER, type RlOptions } from "../../src/train/rl.ts";

/** The tab's counterpart of configs/start.toml. */
export const RL_OPTIONS: Omit<RlOptions, "alpha" | "numPrompts" | "learningRate" | "maxIterations" | "seed"> = {
  numGenerations: 8,
  numSteps: 2,
  maxCompletionLength: 256,
  temperature: 1,
  topK: 0,
  topP: 1,
  beta: 1e-3,
  klEstimator: "none",
  epsilon: 0.2,
  ...PAPER,
  // Not cosine: a rate that depends on the run's length would make the first iterations depend on it too.
  scheduler: "constant_with_warmup",
  warmupSteps: 4,
  tokensPerMicroBatch: 4096,
  recompute: false,
  engine: { maxNumSeqs: 64, maxModelLen: 320, kvCacheBytes: 2 ** 26 },
};

/** configs/start.toml's rate for its 16 prompts; with the root of the batch below that, as its gradients are noisier. */
export const learningRate = (numPrompts: number): number => 4e-4 * Math.min(1, Math.sqrt(numPrompts / 16));

export const ADAMW_OPTIONS: AdamWOptions = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };

/** Held-out problems that a finished run and the base model are scored on. */
export const EVALUATED_PROBLEMS = 100;

export const EVALUATE_OPTIONS: EvaluateOptions = {
  numSamples: 1,
  temperature: 1,
  topK: 0,
  topP: 1,
  maxCompletionLength: 256,
  seed: 1,
};

export const DTYPE = "bfloat16";
