import { expect, test } from "vitest";
import type { Phase } from "../../src/measure/phases.ts";
import { planTime, type TimePlan } from "../../src/measure/time-plan.ts";
import { ROOFS } from "../../src/measure/roofs.ts";
import { MODELS, countParameters, multipliedParameters } from "../../src/measure/models.ts";
import { attentionCost, positionBytes } from "../../src/measure/cost.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";

const config = MODELS["r1-1.5b"]!;
const adamw = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };
const options = {
  numPrompts: 8,
  numGenerations: 8,
  numSteps: 1,
  numIterations: 1,
  maxCompletionLength: 32000,
  tokensPerMicroBatch: 32768,
  temperature: 1,
  beta: 1e-3,
  klEstimator: "none",
  epsilon: 0.2,
  recompute: true,
  engine: { maxNumSeqs: 64, maxModelLen: 32768, kvCacheBytes: 2 ** 35 },
} as unknown as RlOptions;

const plan = (mean: number, changes: object = {}): Promise<TimePlan> =>
  planTime(config, "bfloat16", { ...options, ...changes }, adamw, ROOFS["h100"]!, { mean });

/** Of all parts but attention, which is counted by formula. */
const counted = ({ parts }: TimePlan["phases"]["update"], what: "flops" | "bytes"): number =>
  Object.entries(parts).reduce((sum, [part, cost]) => sum + (part === "attention" ? 0 : cost[what]), 0);

test("forward and backward of a long sequence multiply no more than they must, twice forward with recomputation", async () => {
  const { phases, tokens } = await plan(32000, { numPrompts: 1, numGenerations: 1 });
  // The second time without each layer's last product, which no gradient needs.
  const last = config.numLayers * config.intermediateSize * config.hiddenSize;
  const least = (8 * multipliedParameters(config) - 2 * last) * tokens;
  expect(counted(phases.update, "flops") / least).toBeGreaterThan(0.99);
  expect(counted(phases.update, "flops") / least).toBeLessThan(1.02);
  expect(counted(phases.reference, "flops") / (2 * multipliedParameters(config) * tokens)).toBeLessThan(1.02);
  // With attention: two products forward, twice, and five backward.
  const attention = 4.5 * attentionCost(config, "bf16", [tokens], "forward").flops;
  const all = counted(phases.update, "flops") + phases.update.parts.attention!.flops;
  expect(all / (8 * multipliedParameters(config) * tokens + attention)).toBeLessThan(1.1);
});

test("an update, a reference pass and the optimizer stay below a ceiling of megabytes a token", async () => {
  const { phases, tokens } = await plan(32000, { numPrompts: 1, numGenerations: 1 });
  expect(counted(phases.update, "bytes") / tokens / 1e6).toBeLessThan(29);
  expect(counted(phases.reference, "bytes") / tokens / 1e6).toBeLessThan(12);
  // Two moments, masters and gradients in f32, read and written, weights in bf16; the norm reads the gradients again.
  expect(counted(phases.optimizer, "bytes") / countParameters(config)).toBeLessThan(42);
});

test("a step of decoding reads the weights once, and little beside them and the cache", async () => {
  const { phases, decode } = await plan(8000, { maxCompletionLength: 8000 });
  expect(decode.rows).toBe(64);
  const weights = 2 * multipliedParameters(config);
  const cache = decode.rows * decode.context * positionBytes(config, "bf16");
  const bytes = counted(phases.decode, "bytes") / decode.steps + cache;
  expect(bytes / (weights + cache)).toBeLessThan(1.15);
});

test("a step of decoding in one dispatch counts its products, and attention beside them", async () => {
  const small = MODELS["reasoner"]!;
  const { traits } = ROOFS["h100"]!;
  const info = { isFallbackAdapter: true, subgroupMinSize: 8, subgroupMaxSize: 8 } as GPUAdapterInfo;
  const limits = { ...traits.limits, maxComputeWorkgroupStorageSize: 32768 };
  const software = { ...traits, tier: "subgroups", matrices: null, info, limits } as const;
  const roof = { ...ROOFS["h100"]!, traits: software };
  const short = { ...options, maxCompletionLength: 64, engine: { maxNumSeqs: 64, maxModelLen: 512 } } as RlOptions;
  const planned = (times?: Record<Phase, number>) =>
    planTime(small, "bfloat16", short, adamw, times ? { ...roof, times } : roof, { mean: 64, prompt: 16 });
  const { phases, decode } = await planned();
  const { layers, attention } = phases.decode.parts;
  expect(layers!.flops / (2 * multipliedParameters(small) * decode.rows * decode.steps)).toBeCloseTo(1, 1);
  expect(attention!.flops).toBeGreaterThan(0);

  // What was measured on an adapter stretches its phases.
  const measured = await planned({ prefill: 1, decode: 3, reference: 1, update: 2, optimizer: 1 });
  expect(measured.phases.decode.seconds / phases.decode.seconds).toBeCloseTo(3, 9);
  expect(measured.phases.update.seconds / phases.update.seconds).toBeCloseTo(2, 9);
  expect(measured.phases.reference).toEqual(phases.reference);
});
