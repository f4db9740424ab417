import { LLM } from "../engine/llm.ts";
import type { Storage } from "../gpu/tensor.ts";
import type { ModelConfig } from "../model/config.ts";
import type { PackedBatch } from "../model/batch.ts";
import { STORAGE, type Model, type ModelDType } from "../model/model.ts";
import { itemLogprobs } from "../train/logprobs.ts";
import { planMemory } from "../train/memory-plan.ts";
import { MicroBatches } from "../train/micro-batches.ts";
import { AdamW, type AdamWOptions } from "../train/optimizer.ts";
import { policyGradient } from "../train/policy.ts";
import { PAPER, type RlOptions } from "../train/rl-options.ts";
import { addCosts, forwardCost, gradientCost, optimizerCost, type Cost } from "./cost.ts";
import {
  brief,
  describe,
  expectedLengths,
  GENERATIONS,
  PROMPT_LENGTH,
  rolloutCost,
  rolloutOptions,
  rolloutsOf,
  sampleResponses,
  tokenIds,
  type Rollouts,
} from "./engine.ts";
import { countParameters } from "./models.ts";
import type { AdapterRoof } from "./roofs.ts";
import { summarize } from "./statistics.ts";
import type { Timing } from "./stopwatch.ts";
import { planTime } from "./time-plan.ts";
import type { Workload } from "./workload.ts";

const ADAMW: AdamWOptions = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };
/** So small that weights stay what they are. */
const LEARNING_RATE = 1e-12;
const LOSS = { epsilon: 0.2, beta: 0, klEstimator: "none", temperature: 1 } as const;
const LONGEST_SEQUENCE = 1024;
/** From here on a layer is run again in the backward pass instead of being kept, as the paper's presets have it. */
const RECOMPUTE_FROM = 1e9;

const recomputes = (config: ModelConfig): boolean => countParameters(config) >= RECOMPUTE_FROM;

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
      const options = { ...LOSS, recompute: recomputes(config) };
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

/** What the trainer would be told for such an iteration: the plans of its memory and of its time are made from it. */
const rlOptions = (config: ModelConfig, storage: Storage, rollouts: Rollouts): RlOptions => ({
  alpha: { alpha: 0.1 },
  numPrompts: rollouts.prompts,
  numGenerations: GENERATIONS,
  numSteps: 1,
  maxIterations: 1,
  maxCompletionLength: rollouts.longest,
  topK: 0,
  topP: 1,
  ...LOSS,
  beta: 1e-3,
  ...PAPER,
  learningRate: LEARNING_RATE,
  scheduler: "constant_with_warmup",
  warmupSteps: 0,
  tokensPerMicroBatch: MICRO_BATCH_TOKENS,
  recompute: recomputes(config),
  seed: 1,
  engine: rolloutOptions(config, storage, rollouts),
});

/** The phases of an iteration, by the names of their measurements. */
type Phases<T> = Record<"rollout" | "reference log-probabilities" | "gradient" | "optimizer step", T>;

/** An iteration of reinforcement learning, phase by phase; and the memory it takes beside what was planned. */
export function iteration(
  config: ModelConfig,
  storage: Storage,
  dtype: ModelDType,
  rollouts = rolloutsOf(config),
): Workload {
  const responses = expectedLengths(rollouts);
  const costs = (sampled: readonly number[], whole: readonly number[]): Phases<Cost> => ({
    rollout: rolloutCost(config, storage, sampled),
    "reference log-probabilities": forwardCost(config, storage, whole),
    gradient: gradientCost(config, storage, whole),
    "optimizer step": optimizerCost(config, storage),
  });
  return {
    part: "iteration",
    name: "iteration",
    shape: describe(rollouts),
    estimate: addCosts(...Object.values(costs(responses, responses))),
    async run(_watch, model) {
      const options = rlOptions(config, storage, rollouts);
      const plan = await planMemory(config, dtype, options, ADAMW);
      const { gpu } = model;
      gpu.pool.peakBytes = gpu.pool.usedBytes;
      const reference = await model.clone();
      const used: { dispose(): void }[] = [reference];
      try {
        const optimizer = await AdamW.create(model, ADAMW);
        used.push(optimizer);
        await iterate(model, reference, optimizer, options, brief(rollouts)); // compiles
        const { ms, sampled } = await iterate(model, reference, optimizer, options, rollouts);

        const whole = sampled.map((response) => response.tokenIds.length);
        const tokens = whole.reduce((a, b) => a + b, 0);
        const cost = costs(
          sampled.map(({ logprobs }) => logprobs.length),
          whole,
        );
        const timed = (time: number): Timing => ({ ms: summarize([time]), clock: "host" });
        const lines = (Object.keys(cost) as (keyof typeof cost)[]).map((name) => {
          return { name, timing: timed(ms[name]), cost: cost[name], tokens };
        });
        const total = Object.values(ms).reduce((a, b) => a + b, 0);
        const memory = { planned: plan.total, peak: gpu.pool.peakBytes };
        const all = { name: "iteration", timing: timed(total), cost: addCosts(...Object.values(cost)), tokens, memory };
        return [...lines, all];
      } finally {
        for (const part of used) part.dispose();
      }
    },
  };
}

/** What was sampled, and milliseconds of each phase. */
async function iterate(
  model: Model,
  reference: Model,
  optimizer: AdamW,
  options: RlOptions,
  rollouts: Rollouts,
): Promise<{ ms: Phases<number>; sampled: Awaited<ReturnType<typeof sampleResponses>> }> {
  const timed = async <T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> => {
    const start = performance.now();
    const result = await work();
    await model.gpu.idle();
    return { result, ms: performance.now() - start };
  };
  const llm = new LLM(model, options.engine);
  const rollout = await timed(() => sampleResponses(llm, rollouts)).finally(() => llm.dispose()); // as a run does
  const items = rollout.result.map((response) => [response.tokenIds]);
  const microBatches = new MicroBatches(MICRO_BATCH_TOKENS);
  const scored = await timed(() => itemLogprobs(microBatches, reference, items, options));
  const gradient = await timed(() =>
    microBatches.run(model, items, (packed, _items, job) =>
      policyGradient(model, optimizer.gradients, packed, targets(packed), options, job),
    ),
  );
  const step = await timed(() => optimizer.update(LEARNING_RATE));
  return {
    sampled: rollout.result,
    ms: {
      rollout: rollout.ms,
      "reference log-probabilities": scored.ms,
      gradient: gradient.ms,
      "optimizer step": step.ms,
    },
  };
}

/** Seconds that are planned for the phases of such an iteration, in which so many tokens came out, prompts included. */
export async function planIteration(
  config: ModelConfig,
  dtype: ModelDType,
  roof: AdapterRoof,
  rollouts: Rollouts,
  tokens: number,
): Promise<Phases<number>> {
  const mean = tokens / (rollouts.prompts * GENERATIONS) - PROMPT_LENGTH;
  const options = rlOptions(config, STORAGE[dtype], rollouts);
  const { phases } = await planTime(config, dtype, options, ADAMW, roof, { mean, prompt: PROMPT_LENGTH });
  return {
    rollout: phases.prefill.seconds + phases.decode.seconds,
    "reference log-probabilities": phases.reference.seconds,
    gradient: phases.update.seconds,
    "optimizer step": phases.optimizer.seconds,
  };
}
