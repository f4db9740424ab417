import type { Storage } from "../gpu/tensor.ts";
import type { ModelConfig } from "../model/config.ts";
import type { PackedBatch } from "../model/batch.ts";
import type { Model, ModelDType } from "../model/model.ts";
import { itemLogprobs } from "../train/logprobs.ts";
import { planMemory } from "../train/memory-plan.ts";
import { MicroBatches } from "../train/micro-batches.ts";
import { AdamW, type AdamWOptions } from "../train/optimizer.ts";
import { policyGradient } from "../train/policy.ts";
import { PAPER, type RlOptions } from "../train/rl-options.ts";
import { addCosts, forwardCost, gradientCost, optimizerCost } from "./cost.ts";
import {
  lengthsOf,
  RESPONSES,
  rolloutCost,
  rolloutEngine,
  rolloutOptions,
  sampleResponses,
  tokenIds,
  type Lengths,
} from "./engine.ts";
import { summarize } from "./statistics.ts";
import type { Timing } from "./stopwatch.ts";
import type { Workload } from "./workload.ts";

const ADAMW: AdamWOptions = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };
/** So small that weights stay what they are. */
const LEARNING_RATE = 1e-12;
const LOSS = { epsilon: 0.2, beta: 0, klEstimator: "none", temperature: 1 } as const;
const LONGEST_SEQUENCE = 1024;
/** From here on a layer is run again in the backward pass instead of being kept, as the paper's presets have it. */
const RECOMPUTE_FROM = 1e9;

const recomputes = (model: Model): boolean => model.numParameters >= RECOMPUTE_FROM;

/** Weights and advantages that leave no token out of the loss. */
function targets({ tokenIds: { length } }: PackedBatch) {
  const filled = (value: number) => new Float32Array(length).fill(value);
  return { weights: filled(1 / length), advantages: filled(1), oldLogprobs: filled(-1) };
}

/** Gradient of the policy's loss over `tokens` tokens, and an optimizer step. */
export function trainStep(config: ModelConfig, storage: Storage, tokens: number): Workload {
  const length = Math.min(LONGEST_SEQUENCE, tokens);
  const lengths = Array.from({ length: Math.max(1, Math.round(tokens / length)) }, () => length);
  const cost = addCosts(gradientCost(config, storage, lengths), optimizerCost(config, storage));
  return {
    part: "train",
    name: "training step",
    shape: `${lengths.length} x ${length} tokens`,
    estimate: cost,
    async run(watch, model, maxSeconds) {
      const { gpu } = model;
      gpu.pool.peakBytes = gpu.pool.usedBytes;
      const optimizer = await AdamW.create(model, ADAMW);
      const microBatches = new MicroBatches(lengths.length * length);
      const items = lengths.map((n) => [tokenIds(config, n)]);
      const options = { ...LOSS, recompute: recomputes(model) };
      const work = async () => {
        await microBatches.step(optimizer, items, LEARNING_RATE, (packed, _items, gpu) =>
          policyGradient(model, optimizer.gradients, packed, targets(packed), options, gpu),
        );
        await gpu.idle();
      };
      try {
        const timing = await watch.waited({ warmUp: work, work }, maxSeconds);
        return [{ name: "training step", timing, cost, tokens: lengths.length * length }];
      } finally {
        optimizer.dispose();
      }
    },
  };
}

const MICRO_BATCH_TOKENS = 8192;

/** What the trainer would be told for such an iteration: the memory plan is made from it. */
const rlOptions = (config: ModelConfig, storage: Storage, lengths: Lengths, recompute: boolean): RlOptions => ({
  alpha: { alpha: 0.1 },
  numPrompts: RESPONSES,
  numGenerations: 1,
  numSteps: 1,
  maxIterations: 1,
  maxCompletionLength: lengths.longest,
  topK: 0,
  topP: 1,
  ...LOSS,
  beta: 1e-3,
  ...PAPER,
  learningRate: LEARNING_RATE,
  scheduler: "constant_with_warmup",
  warmupSteps: 0,
  tokensPerMicroBatch: MICRO_BATCH_TOKENS,
  recompute,
  seed: 1,
  engine: rolloutOptions(config, storage, lengths),
});

/** An iteration of reinforcement learning, phase by phase; and the memory it takes beside what was planned. */
export function iteration(config: ModelConfig, storage: Storage, dtype: ModelDType): Workload {
  const lengths = lengthsOf(config);
  const responses = Array.from({ length: RESPONSES }, (_, i) => (i === 0 ? lengths.longest : lengths.mean));
  const costs = (sampled: readonly number[], whole: readonly number[]) => ({
    rollout: rolloutCost(config, storage, sampled),
    "reference log-probabilities": forwardCost(config, storage, whole),
    gradient: gradientCost(config, storage, whole),
    "optimizer step": optimizerCost(config, storage),
  });
  return {
    part: "iteration",
    name: "iteration",
    shape: `${RESPONSES} responses of about ${lengths.mean}, at most ${lengths.longest}`,
    estimate: addCosts(...Object.values(costs(responses, responses))),
    async run(_watch, model) {
      const { gpu } = model;
      const options = rlOptions(config, storage, lengths, recomputes(model));
      const plan = await planMemory(config, dtype, options, ADAMW);
      gpu.pool.peakBytes = gpu.pool.usedBytes;
      const reference = await model.clone();
      const used: { dispose(): void }[] = [reference];
      try {
        const optimizer = await AdamW.create(model, ADAMW);
        used.push(optimizer);
        const llm = rolloutEngine(model, lengths);
        used.push(llm);
        const microBatches = new MicroBatches(MICRO_BATCH_TOKENS);
        await sampleResponses(llm, { mean: 8, longest: 16 }); // compiles

        const phases: Record<string, Timing> = {};
        const phase = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
          const start = performance.now();
          const result = await work();
          await gpu.idle();
          phases[name] = { ms: summarize([performance.now() - start]), clock: "host" };
          return result;
        };
        const rollouts = await phase("rollout", () => sampleResponses(llm, lengths));
        llm.dispose(); // as a run does
        const items = rollouts.map((rollout) => [rollout.tokenIds]);
        const { temperature } = LOSS;
        await phase("reference log-probabilities", () => itemLogprobs(microBatches, reference, items, { temperature }));
        await phase("gradient", () =>
          microBatches.run(model, items, (packed, _items, job) =>
            policyGradient(model, optimizer.gradients, packed, targets(packed), options, job),
          ),
        );
        await phase("optimizer step", () => optimizer.update(LEARNING_RATE));
        const memory = { planned: plan.total, peak: gpu.pool.peakBytes };

        const sampled = rollouts.map(({ logprobs }) => logprobs.length);
        const whole = rollouts.map((rollout) => rollout.tokenIds.length);
        const tokens = whole.reduce((a, b) => a + b, 0);
        const cost = costs(sampled, whole);
        const total = Object.values(phases).reduce((sum, { ms }) => sum + ms.median, 0);
        const lines = Object.entries(cost).map(([name, of]) => ({ name, timing: phases[name]!, cost: of, tokens }));
        const all = { ms: summarize([total]), clock: "host" as const };
        return [...lines, { name: "iteration", timing: all, cost: addCosts(...Object.values(cost)), tokens, memory }];
      } finally {
        for (const part of used) part.dispose();
      }
    },
  };
}
