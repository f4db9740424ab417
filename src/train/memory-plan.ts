import { LLM } from "../engine/llm.ts";
import { PREFILL_ROWS } from "../engine/model-runner.ts";
import { planningGpu } from "../gpu/planning-gpu.ts";
import { MAX_IDLE_BYTES, sizeClass } from "../gpu/pool.ts";
import { byteLength } from "../gpu/tensor.ts";
import { VOCAB_CHUNK } from "../kernels/logprob.ts";
import { packSequences, type PackedBatch } from "../model/batch.ts";
import { parameterShapes, type ModelConfig } from "../model/config.ts";
import { Model, STORAGE, type ModelDType } from "../model/model.ts";
import { AdamW } from "./optimizer.ts";
import { policyGradient, tokenLogprobs } from "./policy.ts";
import type { RlOptions } from "./rl.ts";

/** Bytes on the adapter, as the pool of buffers rounds them. */
export interface MemoryPlan {
  /** Held from the first iteration to the last. */
  held: {
    weights: number;
    /** f32 copies that the optimizer steps, where weights are bf16. */
    masters: number;
    moments: number;
    /** With the scratch of the gradient's norm. */
    gradients: number;
    /** The KL term's frozen policy; 0 where beta is 0. */
    reference: number;
    kvCache: number;
    ropeTables: number;
  };
  /** The most that each phase of an iteration has in use besides; one phase runs at a time. */
  phases: {
    /** Prefill and decoding of `maxNumSeqs` sequences. */
    rollouts: number;
    /** The reference's log-probabilities of a micro-batch. */
    reference: number;
    /** Forward and backward pass of a micro-batch: activations, their gradients, the head. */
    updateRecomputed: number;
    updateKept: number;
  };
  /** In each of the last three phases: logits of one chunk of the vocabulary. */
  logitsChunk: number;
  /** What the pool may keep for micro-batches of other lengths (MAX_IDLE_BYTES). */
  idle: number;
  /** All that is held, the largest phase with `recompute` as configured, and `idle`. */
  total: number;
  /** What the adapter must allow a single buffer to have. */
  largestBuffer: number;
  /** Tokens of the largest micro-batch: a sequence longer than the budget goes alone. */
  microBatchTokens: number;
  longestSequence: number;
  /** Positions that the KV cache holds. */
  kvPositions: number;
}

/**
 * The memory of a training run (train/rl.ts) for a model of which only config.json is known: engine, trainer and
 * optimizer run on a device that only counts (gpu/planning-gpu.ts), so the plan is what they take, not an estimate beside them.
 * Not in it: what the driver keeps for itself, and the staging buffer of what is read back (a checkpoint: one parameter at a time).
 */
export async function planMemory(config: ModelConfig, dtype: ModelDType, options: RlOptions): Promise<MemoryPlan> {
  let largestBuffer = 0;
  const gpu = planningGpu((size) => (largestBuffer = Math.max(largestBuffer, size)));
  const { pool } = gpu;
  const bytesOf = async (work: () => unknown): Promise<number> => {
    const before = pool.usedBytes;
    await work();
    return pool.usedBytes - before;
  };
  const peakOf = async (work: () => unknown): Promise<number> => {
    pool.peakBytes = pool.usedBytes;
    const before = pool.usedBytes;
    await work();
    return pool.peakBytes - before;
  };

  let model!: Model;
  const weights = await bytesOf(() => {
    const shapes = parameterShapes(config);
    model = new Model(gpu, config, dtype, new Map(Array.from(shapes, ([n, s]) => [n, gpu.empty(s, STORAGE[dtype])])));
  });
  let frozen: Model | null = null;
  const reference = await bytesOf(() => {
    if (options.beta > 0) frozen = model.clone();
  });
  let optimizer!: AdamW;
  const forOptimizer = await bytesOf(async () => {
    optimizer = await AdamW.create(model, { beta1: 0, beta2: 0, eps: 1, weightDecay: 0, maxGradNorm: 1 });
  });
  const perCopy = Array.from(optimizer.gradients.values(), ({ allocation }) => allocation.size).reduce(sum, 0);
  const masters = dtype === "bfloat16" ? perCopy : 0;
  let llm!: LLM;
  const kvCache = await bytesOf(() => (llm = new LLM(model, options.engine)));
  const longestSequence = llm.maxModelLen;
  const ropeTables = await bytesOf(() => [model, frozen].forEach((m) => m?.rope(longestSequence)));

  const responses = options.numPrompts * options.numGenerations;
  const microBatch = (sequences: number): PackedBatch => {
    const tokens = Math.max(longestSequence, Math.min(options.tokensPerMicroBatch, sequences * longestSequence));
    const whole = Array.from({ length: Math.floor(tokens / longestSequence) }, () => new Uint32Array(longestSequence));
    const rest = tokens % longestSequence;
    return packSequences(rest > 0 ? [...whole, new Uint32Array(rest)] : whole);
  };
  const batch = microBatch(Math.ceil(responses / options.numSteps));
  const microBatchTokens = batch.tokenIds.length;
  const targets = () => new Float32Array(microBatchTokens);
  const update = (recompute: boolean) =>
    peakOf(() =>
      policyGradient(
        model,
        optimizer.gradients,
        batch,
        { weights: targets(), advantages: targets(), oldLogprobs: targets() },
        { ...options, recompute },
      ),
    );
  const phases = {
    rollouts: await peakOf(() => rollOut(llm, Math.min(llm.maxNumSeqs, responses))),
    reference: frozen ? await peakOf(() => tokenLogprobs(frozen!, microBatch(responses), options)) : 0,
    updateRecomputed: await update(true),
    updateKept: await update(false),
  };
  const held = {
    weights,
    masters,
    moments: 2 * perCopy,
    gradients: forOptimizer - masters - 2 * perCopy,
    reference,
    kvCache,
    ropeTables,
  };
  const largestPhase = Math.max(
    phases.rollouts,
    phases.reference,
    options.recompute ? phases.updateRecomputed : phases.updateKept,
  );
  return {
    held,
    phases,
    logitsChunk: sizeClass(byteLength([microBatchTokens, Math.min(VOCAB_CHUNK, config.vocabSize)], "f32")),
    idle: MAX_IDLE_BYTES,
    total: Object.values(held).reduce(sum, 0) + largestPhase + MAX_IDLE_BYTES,
    largestBuffer,
    microBatchTokens,
    longestSequence,
    kvPositions: llm.numPositions,
  };
}

const sum = (a: number, b: number): number => a + b;

/** One full pass of prefill, and one submit of decoding with `count` sequences. */
async function rollOut(llm: LLM, count: number): Promise<void> {
  const promptLength = Math.max(1, Math.min(Math.ceil(PREFILL_ROWS / count) + 1, llm.maxModelLen - 1));
  const requests = Array.from({ length: count }, (_, promptId) => ({
    promptId,
    promptTokenIds: Array.from({ length: promptLength }, () => 0),
  }));
  await llm.generate(requests, {
    n: 1,
    maxTokens: 1,
    temperature: 1,
    topK: 0,
    topP: 1,
    seed: 0,
    stopTokenIds: [],
  });
}
