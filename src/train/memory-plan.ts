import type { EngineOptions } from "../engine/engine-size.ts";
import { LLM } from "../engine/llm.ts";
import { PREFILL_ROWS } from "../engine/model-runner.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { planningGpu, type Listeners } from "../gpu/planning-gpu.ts";
import { MAX_IDLE_BYTES, sizeClass } from "../gpu/pool.ts";
import { splitGpu } from "../gpu/split-gpu.ts";
import { byteLength } from "../gpu/tensor.ts";
import type { KernelTraits } from "../gpu/workspace.ts";
import type { LoraConfig } from "../hf/peft.ts";
import { VOCAB_CHUNK } from "../kernels/logprob.ts";
import { packSequences, type PackedBatch } from "../model/batch.ts";
import { parameterShapes, type ModelConfig } from "../model/config.ts";
import { adapterShapes, LoraModel } from "../model/lora.ts";
import { deviceOf, Model, STORAGE, type ModelDType } from "../model/model.ts";
import { AdamW, type AdamWOptions } from "./optimizer.ts";
import { policyGradient, recordLogprobs } from "./policy.ts";
import { readRecorded, type Recorded } from "./recorded.ts";
import type { RlOptions } from "./rl-options.ts";

/** Bytes on the adapter, as the pool of buffers rounds them. */
export interface MemoryPlan {
  /** Held from the first iteration to the last. */
  held: {
    weights: number;
    /** The trained tensors beside frozen weights; 0 where the weights themselves are trained. */
    adapters: number;
    /** f32 copies that the optimizer steps, where weights are bf16 and its state is f32. */
    masters: number;
    moments: number;
    /** The KL term's frozen policy; 0 where beta is 0, where it is the weights that adapters leave as they are, and between its passes. */
    reference: number;
    ropeTables: number;
  };
  /** The most that each phase of an iteration has in use besides; one phase runs at a time. */
  phases: {
    /** Prefill and decoding of `maxNumSeqs` sequences, with the KV cache. */
    rollouts: number;
    /** The reference's log-probabilities of a micro-batch, and those of the iteration's other tokens; its weights, where they are not held. */
    reference: number;
    /** Forward and backward pass of a micro-batch: the gradients, activations and what they become, the head; and the step's other results. */
    updateRecomputed: number;
    updateKept: number;
    /** An optimizer step: the gradients; masters and moments of one parameter, where they are otherwise in host memory. */
    optimizer: number;
  };
  /** Of the rollouts. */
  kvCache: number;
  /** Of an update and an optimizer step, with the scratch of their norm. */
  gradients: number;
  /** Bytes of host memory that masters and moments take; 0 where they are on the device. */
  host: number;
  /** In each of the last three phases: logits of one chunk of the vocabulary. */
  logitsChunk: number;
  /** What the pool may keep for micro-batches of other lengths (MAX_IDLE_BYTES). */
  idle: number;
  /** All that is held, the largest phase with `recompute` as configured, and `idle`. */
  total: number;
  /** The same for each device that layers are split over; this one has most. */
  totals: readonly number[];
  /** What the adapter must allow a single buffer to have, and a kernel to be given of one at once. */
  largestBuffer: number;
  largestBinding: number;
  /** Tokens of the largest micro-batch: a sequence longer than the budget goes alone. */
  microBatchTokens: number;
  longestSequence: number;
  /** Positions that the KV cache holds. */
  kvPositions: number;
}

/** What a run is planned by besides its options. */
export interface Planned {
  /** The GPU whose kernels' scratch is to be counted; by default the baseline's, which have none. */
  like?: KernelTraits | undefined;
  /** Trains adapters. */
  lora?: LoraConfig | null | undefined;
  /** The reference is on the device for its passes alone. */
  offloadReference?: boolean | undefined;
  /** Layers on each of several devices. */
  layers?: readonly number[] | undefined;
}

/**
 * The memory of a training run (train/rl.ts) for a model of which only config.json is known: engine, trainer and
 * optimizer run on a device that only counts (gpu/planning-gpu.ts), so the plan is what they take, not an estimate beside them.
 * Of several devices it is that of the one that has most. Not in it: what the driver keeps for itself, and the staging buffer of what
 * is read back (a checkpoint: one parameter at a time).
 */
export async function planMemory(
  config: ModelConfig,
  dtype: ModelDType,
  options: RlOptions,
  adamw: AdamWOptions,
  { like, lora = null, offloadReference = false, layers }: Planned = {},
): Promise<MemoryPlan> {
  let [largestBuffer, largestBinding] = [0, 0];
  const gpu = planningDevices(
    {
      onBuffer: (size) => (largestBuffer = Math.max(largestBuffer, size)),
      onBinding: (size) => (largestBinding = Math.max(largestBinding, size)),
    },
    { like, layers },
  );
  const pools = gpu.devices.map(({ pool }) => pool);
  // Of each device, as all that follows.
  const bytesOf = async (work: () => unknown): Promise<number[]> => {
    const before = pools.map(({ usedBytes }) => usedBytes);
    await work();
    return pools.map(({ usedBytes }, i) => usedBytes - before[i]!);
  };
  const peakOf = async (work: () => unknown): Promise<number[]> => {
    const before = pools.map((pool) => (pool.peakBytes = pool.usedBytes));
    await work();
    return pools.map(({ peakBytes }, i) => peakBytes - before[i]!);
  };

  let model!: Model;
  const weights = await bytesOf(() => (model = emptyModel(gpu, config, dtype)));
  const whole = model;
  const adapters = await bytesOf(() => lora && (model = emptyAdapter(whole, lora)));
  const isOpened = offloadReference && options.beta > 0 && !model.base;
  let frozen: Model | null = null;
  const reference = await bytesOf(async () => {
    if (options.beta > 0 && !isOpened) frozen = model.base ?? (await whole.clone());
  });
  const optimizer = await AdamW.create(model, adamw);
  const gradients = await bytesOf(() => optimizer.begin());
  optimizer.dropGradients();
  let llm!: LLM;
  const kvCache = await bytesOf(() => (llm = new LLM(model, options.engine)));
  llm.dispose();
  const longestSequence = llm.maxModelLen;
  const ropeTables = await bytesOf(async () => {
    for (const some of [model, frozen]) await some?.reserve(longestSequence);
  });

  const responses = options.numPrompts * options.numGenerations;
  const microBatch = (sequences: number): PackedBatch => {
    const tokens = Math.max(longestSequence, Math.min(options.tokensPerMicroBatch, sequences * longestSequence));
    const whole = Array.from({ length: Math.floor(tokens / longestSequence) }, () => new Uint32Array(longestSequence));
    const rest = tokens % longestSequence;
    return packSequences(rest > 0 ? [...whole, new Uint32Array(rest)] : whole);
  };
  /** Of a pass over `sequences` sequences: its largest micro-batch, and the results of the others, which wait for it. */
  const peakOfPass = async (
    sequences: number,
    begin: () => unknown,
    record: (batch: PackedBatch) => Promise<Recorded<unknown>>,
  ): Promise<number[]> => {
    const batch = microBatch(sequences);
    const others = Math.ceil((sequences * longestSequence) / batch.tokenIds.length) - 1;
    let results: number[] = [];
    const peak = await peakOf(async () => {
      await begin();
      let recorded!: Recorded<unknown>;
      results = await bytesOf(async () => (recorded = await record(batch)));
      await readRecorded(gpu, recorded);
    });
    return peak.map((bytes, i) => bytes + others * results[i]!);
  };
  const perStep = Math.ceil(responses / options.numSteps);
  const update = async (recompute: boolean) => {
    const peak = await peakOfPass(
      perStep,
      () => optimizer.begin(),
      (batch) => {
        const targets = () => new Float32Array(batch.tokenIds.length);
        return policyGradient(
          model,
          optimizer.gradients,
          batch,
          { weights: targets(), advantages: targets(), oldLogprobs: targets() },
          { ...options, recompute },
        );
      },
    );
    optimizer.dropGradients();
    return peak;
  };
  const scoring = async () => {
    if (options.beta === 0) return pools.map(() => 0);
    const open = async () => {
      frozen ??= await whole.clone();
      await frozen.reserve(longestSequence);
    };
    return peakOfPass(responses, open, (batch) => recordLogprobs(frozen!, batch, options));
  };
  const microBatchTokens = microBatch(perStep).tokenIds.length;
  const phases = {
    rollouts: await peakOf(() => rollOut(model, options.engine, responses)),
    updateRecomputed: await update(true),
    updateKept: await update(false),
    optimizer: await peakOf(() => optimizer.apply(1, 0)),
    reference: await scoring(),
  };
  const plans = pools.map((_pool, i) => {
    const { masters, moments } = optimizer.bytes[i]!;
    const held = {
      weights: weights[i]!,
      adapters: adapters[i]!,
      masters,
      moments,
      reference: reference[i]!,
      ropeTables: ropeTables[i]!,
    };
    const on = mapValues(phases, (bytes) => bytes[i]!);
    const update = options.recompute ? on.updateRecomputed : on.updateKept;
    const largestPhase = Math.max(on.rollouts, on.reference, update, on.optimizer);
    const total = Object.values(held).reduce(sum, 0) + largestPhase + MAX_IDLE_BYTES;
    return { held, phases: on, kvCache: kvCache[i]!, gradients: gradients[i]!, total };
  });
  return {
    ...plans.reduce((most, plan) => (plan.total > most.total ? plan : most)),
    totals: plans.map(({ total }) => total),
    host: optimizer.bytes.map(({ host }) => host).reduce(sum, 0),
    logitsChunk: sizeClass(byteLength([microBatchTokens, Math.min(VOCAB_CHUNK, config.vocabSize)], "f32")),
    idle: MAX_IDLE_BYTES,
    largestBuffer,
    largestBinding,
    microBatchTokens,
    longestSequence,
    kvPositions: llm.numPositions,
  };
}

/** A device that only counts, or several with a model's layers split over them. */
export function planningDevices(heard: Listeners, { like, layers }: Pick<Planned, "like" | "layers">): Gpu {
  if (!layers) return planningGpu(heard, like);
  return splitGpu(
    layers.map(() => planningGpu(heard, like)),
    layers,
  );
}

const placed = (gpu: Gpu, config: ModelConfig, dtype: ModelDType, shapes: ReadonlyMap<string, number[]>) =>
  new Map(Array.from(shapes, ([name, shape]) => [name, deviceOf(gpu, config, name).empty(shape, STORAGE[dtype])]));

/** A model on a device that only counts. */
export const emptyModel = (gpu: Gpu, config: ModelConfig, dtype: ModelDType): Model =>
  new Model(gpu, config, dtype, placed(gpu, config, dtype, parameterShapes(config)));

/** An adapter beside it. */
export const emptyAdapter = (base: Model, lora: LoraConfig): LoraModel =>
  new LoraModel(base.gpu, base, lora, placed(base.gpu, base.config, base.dtype, adapterShapes(base.config, lora)));

const mapValues = <K extends string, A, B>(record: Record<K, A>, change: (a: A) => B): Record<K, B> =>
  Object.fromEntries(Object.entries<A>(record).map(([key, value]) => [key, change(value)])) as Record<K, B>;

const sum = (a: number, b: number): number => a + b;

/**
 * One full pass of prefill, and one submit of decoding with as many sequences as run at once. Where others wait their turn, their
 * prefill follows, beside the tensors that decoding keeps for its next submit.
 */
async function rollOut(model: Model, engine: EngineOptions, responses: number): Promise<void> {
  const llm = new LLM(model, engine);
  const count = Math.min(llm.maxNumSeqs, responses);
  const othersWait = count < responses || count * llm.maxModelLen > llm.numPositions;
  const promptLength = Math.max(1, Math.min(Math.ceil(PREFILL_ROWS / count) + 1, llm.maxModelLen - 1));
  const requests = Array.from({ length: othersWait ? 2 * count : count }, (_, promptId) => ({
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
  llm.dispose();
}
