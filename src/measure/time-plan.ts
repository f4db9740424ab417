import { paddedRows } from "../engine/engine-size.ts";
import { LLM } from "../engine/llm.ts";
import { PREFILL_ROWS } from "../engine/model-runner.ts";
import type { SamplingParams } from "../engine/sampling-params.ts";
import { largestStage } from "../core/schedule.ts";
import type { Cost } from "../gpu/recorder.ts";
import { packSequences } from "../model/batch.ts";
import type { ModelConfig } from "../model/config.ts";
import { STORAGE, type ModelDType } from "../model/model.ts";
import { emptyAdapter, emptyModel, planningDevices, type Planned } from "../train/memory-plan.ts";
import { AdamW, type AdamWOptions } from "../train/optimizer.ts";
import { policyGradient, recordLogprobs } from "../train/policy.ts";
import type { RlOptions } from "../train/rl-options.ts";
import { attentionCost, decodeAttentionCost } from "./cost.ts";
import type { Phase } from "./phases.ts";
import type { AdapterRoof } from "./roofs.ts";

/** From the end of one dispatch to the next that waits for it. */
const GAP_SECONDS = 4e-6;
/** On the host, which works ahead of the device. */
const ENCODE_SECONDS = 3e-6;
/** Between host and device, either way, through a copy: half of what PCIe 4 has. And until the host hears that a read is done. */
const HOST_BYTES = 12e9;
const WAIT_SECONDS = 1e-4;

/** What a part of the engine does in a phase. */
export interface PartPlan extends Cost {
  dispatches: number;
  seconds: number;
  bound: "compute" | "memory" | "dispatch" | "host";
}

const PARTS = ["layers", "head", "attention", "rest", "transfers"] as const;
export type Part = (typeof PARTS)[number];

export interface TimePlan {
  /** Of an iteration. */
  phases: Record<Phase, { seconds: number; parts: Partial<Record<Part, PartPlan>> }>;
  secondsPerIteration: number;
  /** Prompts and responses. */
  tokens: number;
  decode: { steps: number; rows: number; context: number };
}

/** Dispatches of an entry point, added up; of transfers, the reads that the host waits for. */
interface Counted extends Cost {
  dispatches: number;
}

const TRANSFERS = "transfers";

const partOf = (label: string): Part =>
  label === TRANSFERS
    ? TRANSFERS
    : /attention/.test(label)
      ? "attention"
      : /linear_logits|logprob|policy-gradient|sample/.test(label)
        ? "head"
        : /\blinear|decode-step/.test(label)
          ? "layers"
          : "rest";

/**
 * A model of the time of an iteration of reinforcement learning: engine, trainer and optimizer run on a device that counts what
 * they would do, and each dispatch takes what the roof allows it for its operations or its bytes, whichever is more. Attention, whose
 * work depends on lengths that no dispatch knows, is counted by formula. What goes between host and device takes what PCIe allows, and
 * of several devices one works at a time. Responses are `mean` tokens long, spread exponentially.
 */
export async function planTime(
  config: ModelConfig,
  dtype: ModelDType,
  options: RlOptions,
  adamw: AdamWOptions,
  roof: AdapterRoof,
  { mean, prompt = 256, lora, layers }: { mean: number; prompt?: number } & Omit<Planned, "like">,
): Promise<TimePlan> {
  let counted = new Map<string, Counted>();
  let steps = 0;
  const count = (label: string, { flops, bytes }: Cost, dispatches: number) => {
    const known = counted.get(label) ?? { flops: 0, bytes: 0, dispatches: 0 };
    known.flops += flops;
    known.bytes += bytes;
    known.dispatches += dispatches;
    counted.set(label, known);
  };
  const gpu = planningDevices(
    {
      onDispatch(label, cost) {
        if (/embedding_forward|decode-step/.test(label)) steps++;
        count(label, cost, 1);
      },
      onTransfer: (bytes, isRead) => count(TRANSFERS, { flops: 0, bytes }, isRead ? 1 : 0),
    },
    { like: roof.traits, layers },
  );
  const storage = STORAGE[dtype];
  const partPlan = (part: string, { flops, bytes, dispatches }: Counted): PartPlan => {
    if (part === TRANSFERS)
      return { flops, bytes, dispatches, seconds: bytes / HOST_BYTES + dispatches * WAIT_SECONDS, bound: "host" };
    const limits = {
      compute: flops / (roof.flops[storage] * roof.reached.flops),
      memory: bytes / (roof.bytes * roof.reached.bytes),
      dispatch: dispatches * ENCODE_SECONDS,
    };
    const [bound] = (Object.keys(limits) as (keyof typeof limits)[]).sort((a, b) => limits[b] - limits[a]);
    return { flops, bytes, dispatches, seconds: limits[bound!] + dispatches * GAP_SECONDS, bound: bound! };
  };
  const countedIn = async (work: () => unknown) => {
    counted = new Map();
    steps = 0;
    await work();
    return { counted, steps };
  };
  /** What `work` does, `times` over or so many of its steps, and attention beside it. */
  const phase = async (
    name: Phase,
    work: () => unknown,
    times: number,
    attention: Cost | null,
    { bySteps = false, without = () => {} }: { bySteps?: boolean; without?: () => unknown } = {},
  ) => {
    const rest = (await countedIn(without)).counted;
    const all = await countedIn(work);
    const per = bySteps ? times / all.steps : times;
    const parts: Partial<Record<Part, Counted>> = {};
    for (const [key, whole] of all.counted) {
      const { flops, bytes, dispatches } = less(whole, rest.get(key));
      const part = partOf(key);
      const sum = (parts[part] ??= { flops: 0, bytes: 0, dispatches: 0 });
      sum.dispatches += per * dispatches;
      if (part === "attention") continue;
      sum.flops += per * flops;
      sum.bytes += per * bytes;
    }
    if (attention) parts.attention = { dispatches: 0, ...parts.attention, ...attention };
    const measured = roof.times?.[name] ?? 1;
    const entries = Object.entries(parts).map(([part, sum]) => {
      const plan = partPlan(part, sum);
      return [part, { ...plan, seconds: measured * plan.seconds }] as const;
    });
    return {
      seconds: entries.reduce((sum, [, { seconds }]) => sum + seconds, 0),
      parts: Object.fromEntries(entries) as Partial<Record<Part, PartPlan>>,
    };
  };

  const whole = emptyModel(gpu, config, dtype);
  const model = lora ? emptyAdapter(whole, lora) : whole;
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
      "prefill",
      () => generate(1, Math.min(PREFILL_ROWS, prompt * options.numPrompts, full.maxModelLen - 1)),
      (options.numPrompts * prompt) / Math.min(PREFILL_ROWS, prompt * options.numPrompts),
      attentionCost(
        config,
        storage,
        lengths.slice(0, options.numPrompts).map(() => prompt),
        "forward",
      ),
      { without: () => generate(1, 1) },
    ),
    decode: await phase(
      "decode",
      () => generate(paddedRows(rows), 1),
      decodeSteps,
      decodeAttentionCost(config, storage, responses * mean, length),
      { bySteps: true },
    ),
    reference:
      options.beta > 0
        ? await phase(
            "reference",
            () => recordLogprobs(model.base ?? model, batch, options),
            batches,
            attentionCost(config, storage, lengths, "forward"),
          )
        : { seconds: 0, parts: {} },
    update: await phase(
      "update",
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
      "optimizer",
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

const less = (all: Counted, part?: Counted): Counted => ({
  flops: all.flops - (part?.flops ?? 0),
  bytes: all.bytes - (part?.bytes ?? 0),
  dispatches: all.dispatches - (part?.dispatches ?? 0),
});

const SAMPLING: SamplingParams = { n: 1, maxTokens: 1, temperature: 1, topK: 0, topP: 1, seed: 0, stopTokenIds: [] };
