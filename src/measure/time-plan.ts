import { paddedRows } from "../engine/engine-size.ts";
import { LLM } from "../engine/llm.ts";
import { PREFILL_ROWS } from "../engine/model-runner.ts";
import type { SamplingParams } from "../engine/sampling-params.ts";
import { largestStage } from "../core/schedule.ts";
import { planningGpu } from "../gpu/planning-gpu.ts";
import type { Cost } from "../gpu/recorder.ts";
import { packSequences } from "../model/batch.ts";
import type { LoraConfig } from "../hf/peft.ts";
import type { ModelConfig } from "../model/config.ts";
import { STORAGE, type ModelDType } from "../model/model.ts";
import { planModel } from "../train/memory-plan.ts";
import { AdamW, type AdamWOptions } from "../train/optimizer.ts";
import { policyGradient, recordLogprobs } from "../train/policy.ts";
import type { RlOptions } from "../train/rl.ts";
import { attentionCost, decodeAttentionCost, type AttentionCost } from "./cost.ts";
import type { AdapterRoof } from "./roofs.ts";

/** Of the makers' figures, what kernels of this kind reach: published products through Vulkan, and kernels bound by memory. */
export const REACHED: Cost = { flops: 0.3, bytes: 0.75 };
/** From the end of one dispatch to the next that waits for it. */
const GAP_SECONDS = 4e-6;
/** On the host, which works ahead of the device. */
const ENCODE_SECONDS = 3e-6;

/** What a part of the engine does in a phase. */
export interface PartPlan extends Cost {
  dispatches: number;
  seconds: number;
  bound: "compute" | "memory" | "dispatch";
}

export const PHASES = ["prefill", "decode", "reference", "update", "optimizer"] as const;
export type Phase = (typeof PHASES)[number];
const PARTS = ["layers", "head", "attention", "rest"] as const;
export type Part = (typeof PARTS)[number];

export interface TimePlan {
  /** Of an iteration. */
  phases: Record<Phase, { seconds: number; parts: Partial<Record<Part, PartPlan>> }>;
  secondsPerIteration: number;
  /** Prompts and responses. */
  tokens: number;
  decode: { steps: number; rows: number; context: number };
}

/** Dispatches of an entry point, added up. */
interface Counted extends Cost {
  dispatches: number;
  f32Flops?: number;
}

const partOf = (label: string): Part =>
  /attention/.test(label)
    ? "attention"
    : /linear_logits|logprob|policy-gradient|sample/.test(label)
      ? "head"
      : /\blinear/.test(label)
        ? "layers"
        : "rest";

/**
 * A model of the time of an iteration of reinforcement learning: engine, trainer and optimizer run on a device that counts what
 * they would do, and each dispatch takes what the roof allows it for its operations or its bytes, whichever is more. Attention, whose
 * work depends on lengths that no dispatch knows, is counted by formula. Responses are `mean` tokens long, spread exponentially.
 */
export async function planTime(
  config: ModelConfig,
  dtype: ModelDType,
  options: RlOptions,
  adamw: AdamWOptions,
  roof: AdapterRoof,
  {
    mean,
    prompt = 256,
    reached = REACHED,
    lora = null,
  }: { mean: number; prompt?: number; reached?: Cost; lora?: LoraConfig | null },
): Promise<TimePlan> {
  let counted = new Map<string, Counted>();
  let steps = 0;
  const gpu = planningGpu(
    {
      onDispatch(label, { flops, bytes }, isRecorded) {
        const key = isRecorded ? `decode ${label}` : label;
        if (isRecorded && /embedding_forward|decode-step/.test(label)) steps++;
        const known = counted.get(key) ?? { flops: 0, bytes: 0, dispatches: 0 };
        known.flops += flops;
        known.bytes += bytes;
        known.dispatches++;
        counted.set(key, known);
      },
    },
    roof.traits,
  );
  const storage = STORAGE[dtype];
  const partPlan = ({ flops, bytes, dispatches, f32Flops = 0 }: Counted): PartPlan => {
    const limits = {
      compute: ((flops - f32Flops) / roof.flops[storage] + f32Flops / roof.flops.f32) / reached.flops,
      memory: bytes / (roof.bytes * reached.bytes),
      dispatch: dispatches * ENCODE_SECONDS,
    };
    const [bound] = (Object.keys(limits) as (keyof typeof limits)[]).sort((a, b) => limits[b] - limits[a]);
    return { flops, bytes, dispatches, seconds: limits[bound!] + dispatches * GAP_SECONDS, bound: bound! };
  };
  /** What `work` dispatches, `times` over, and attention beside it. */
  const phase = async (work: () => unknown, times: number, attention: AttentionCost | null, prefix = "") => {
    counted = new Map();
    steps = 0;
    await work();
    const per = prefix ? times / Math.max(1, steps) : times;
    const parts: Partial<Record<Part, Counted>> = {};
    for (const [key, { flops, bytes, dispatches }] of counted) {
      const isRecorded = key.startsWith("decode ");
      if (isRecorded !== (prefix !== "")) continue;
      const part = partOf(key);
      const sum = (parts[part] ??= { flops: 0, bytes: 0, dispatches: 0 });
      sum.dispatches += per * dispatches;
      if (part === "attention") continue;
      sum.flops += per * flops;
      sum.bytes += per * bytes;
    }
    if (attention && parts.attention) Object.assign(parts.attention, attention);
    const entries = Object.entries(parts).map(([part, sum]) => [part, partPlan(sum)] as const);
    return {
      seconds: entries.reduce((sum, [, { seconds }]) => sum + seconds, 0),
      parts: Object.fromEntries(entries) as Partial<Record<Part, PartPlan>>,
    };
  };

  const { model } = planModel(gpu, config, dtype, lora);
  const optimizer = await AdamW.create(model, adamw);
  const responses = options.numPrompts * options.numGenerations;
  const length = prompt + mean;
  const tokens = responses * length;

  const full = new LLM(model, options.engine);
  const slots = Math.max(1, Math.min(responses, full.maxNumSeqs, Math.floor(full.numPositions / length)));
  full.dispose();
  const harmonic = Math.log(responses) + 0.577;
  const longest = Math.min(largestStage(options.maxCompletionLength), mean * harmonic);
  const decodeSteps = Math.ceil(Math.max(longest, (responses * mean) / slots));
  const rows = Math.max(1, Math.round((responses * mean) / decodeSteps));

  const generate = async (count: number, promptLength: number) => {
    const llm = new LLM(model, { ...options.engine, maxNumSeqs: count });
    const requests = Array.from({ length: count }, (_, promptId) => ({
      promptId,
      promptTokenIds: Array.from({ length: promptLength }, () => 0),
    }));
    await llm.generate(requests, SAMPLING);
    llm.dispose();
  };
  const microBatch = Math.max(1, Math.round(Math.min(options.tokensPerMicroBatch, tokens) / length));
  const batch = packSequences(Array.from({ length: microBatch }, () => new Uint32Array(length)));
  const batches = responses / microBatch;
  const values = () => new Float32Array(batch.tokenIds.length);
  const lengths = Array.from({ length: responses }, () => length);

  const repeated = Array.from({ length: options.numIterations }, () => lengths).flat();

  const phases = {
    prefill: await phase(
      () => generate(1, Math.min(PREFILL_ROWS, prompt * options.numPrompts, full.maxModelLen - 1)),
      (options.numPrompts * prompt) / Math.min(PREFILL_ROWS, prompt * options.numPrompts),
      attentionCost(
        config,
        storage,
        lengths.slice(0, options.numPrompts).map(() => prompt),
        "forward",
      ),
    ),
    decode: await phase(
      () => generate(paddedRows(rows), 1),
      decodeSteps,
      decodeAttentionCost(config, storage, responses * mean, length),
      "decode",
    ),
    reference:
      options.beta > 0
        ? await phase(
            () => recordLogprobs(model.base ?? model, batch, options),
            batches,
            attentionCost(config, storage, lengths, "forward"),
          )
        : { seconds: 0, parts: {} },
    update: await phase(
      () =>
        policyGradient(
          model,
          optimizer.gradients,
          batch,
          { weights: values(), advantages: values(), oldLogprobs: values() },
          options,
        ),
      options.numIterations * batches,
      attentionCost(config, storage, repeated, options.recompute ? "recomputed" : "gradient"),
    ),
    optimizer: await phase(
      async () => {
        await optimizer.recordNorm(gpu);
        return optimizer.apply(1, 1e-6);
      },
      options.numIterations * options.numSteps,
      null,
    ),
  };
  const secondsPerIteration = Object.values(phases).reduce((sum, { seconds }) => sum + seconds, 0);
  return { phases, secondsPerIteration, tokens, decode: { steps: decodeSteps, rows, context: length } };
}

const SAMPLING: SamplingParams = { n: 1, maxTokens: 1, temperature: 1, topK: 0, topP: 1, seed: 0, stopTokenIds: [] };
