import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { LLM } from "../../src/engine/llm.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { MAX_IDLE_BYTES } from "../../src/gpu/pool.ts";
import { packSequences } from "../../src/model/batch.ts";
import { parameterShapes, parseModelConfig, type ModelConfig } from "../../src/model/config.ts";
import type { LoraConfig } from "../../src/hf/peft.ts";
import { LoraModel } from "../../src/model/lora.ts";
import { Model, type ModelDType } from "../../src/model/model.ts";
import { parseConfig } from "../../src/run/config.ts";
import { rlOptions } from "../../src/train/options.ts";
import { planMemory } from "../../src/train/memory-plan.ts";
import { AdamW, type AdamWOptions } from "../../src/train/optimizer.ts";
import { policyGradient, recordLogprobs } from "../../src/train/policy.ts";
import { joinRecorded, readRecorded, type Recorded } from "../../src/train/recorded.ts";
import { trainRl } from "../../src/train/rl.ts";
import type { RlOptions } from "../../src/train/rl-options.ts";
import { narrow, testGpu } from "../helpers/gpu.ts";
import { openGpu } from "../helpers/host.ts";
import { tinyConfig } from "../helpers/models.ts";
import { ADAMW, ADAMW_BF16, TOY_RL, toyTask, toyTokenizer } from "../helpers/toy.ts";

/** What `work` leaves in use, and the most that it has in use meanwhile. */
async function measured(gpu: Gpu, work: () => unknown): Promise<{ kept: number; peak: number }> {
  await gpu.idle();
  const before = gpu.pool.usedBytes;
  gpu.pool.peakBytes = before;
  await work();
  return { kept: gpu.pool.usedBytes - before, peak: gpu.pool.peakBytes - before };
}

const MODELS: Record<string, ModelConfig> = {
  "Qwen2, tied": tinyConfig(),
  "Qwen2, more than one chunk of the vocabulary": tinyConfig({ vocab_size: 3000, tie_word_embeddings: false }),
  "Qwen3, with norms on queries and keys": tinyConfig({
    model_type: "qwen3",
    head_dim: 16,
    num_hidden_layers: 3,
    tie_word_embeddings: false,
  }),
};
const LORA: LoraConfig = { r: 8, alpha: 16, useRslora: false, targetModules: "all-linear", baseModel: null };
/** Every kind of state on the first model, and each other model once in each storage. */
const CASES = [
  { name: "Qwen2, tied", dtype: "bfloat16", adamw: ADAMW, lora: null },
  { name: "Qwen2, tied", dtype: "float32", adamw: ADAMW, lora: null },
  { name: "Qwen2, tied", dtype: "bfloat16", adamw: ADAMW_BF16, lora: null },
  { name: "Qwen2, tied", dtype: "bfloat16", adamw: ADAMW, lora: LORA },
  { name: "Qwen2, tied", dtype: "bfloat16", adamw: { ...ADAMW, offload: true }, lora: null },
  { name: "Qwen2, more than one chunk of the vocabulary", dtype: "bfloat16", adamw: ADAMW, lora: null },
  { name: "Qwen3, with norms on queries and keys", dtype: "float32", adamw: ADAMW, lora: null },
  { name: "Qwen3, with norms on queries and keys", dtype: "bfloat16", adamw: ADAMW, lora: LORA },
].map((plan) => ({
  ...(plan as { name: string; dtype: ModelDType; adamw: AdamWOptions; lora: LoraConfig | null }),
  state: plan.adamw === ADAMW_BF16 ? "bfloat16" : "float32",
  what: plan.lora ? "adapters" : "offload" in plan.adamw ? "in host memory" : "all weights",
}));

describe("the plan is what a real model takes", () => {
  test.each(CASES)("$name, $dtype, optimizer state in $state, $what", async ({ name, dtype, adamw, state, lora }) => {
    const gpu = await testGpu();
    const config = MODELS[name]!;
    const options: RlOptions = {
      ...TOY_RL,
      tokensPerMicroBatch: 300,
      engine: { maxModelLen: 128, kvCacheBytes: 2 ** 17, blockSize: 8 },
    };
    const { held, phases, ...plan } = await planMemory(config, dtype, options, adamw, { like: gpu, lora });
    expect([plan.longestSequence, plan.microBatchTokens]).toEqual([128, 300]);

    let whole!: Model;
    const weights = await measured(gpu, () => (whole = Model.random(gpu, config, { dtype, seed: 1 })));
    expect(weights.kept).toBe(held.weights);
    let model = whole;
    const adapters = await measured(gpu, async () => {
      if (lora) model = await LoraModel.create(whole, lora, { seed: 1 });
    });
    expect(adapters.kept).toBe(held.adapters);
    let reference!: Model;
    expect((await measured(gpu, async () => (reference = model.base ?? (await whole.clone())))).kept).toBe(
      held.reference,
    );
    expect(held.reference).toBe(lora ? 0 : held.weights);
    let optimizer!: AdamW;
    const states = await measured(gpu, async () => (optimizer = await AdamW.create(model, adamw)));
    expect(states.kept).toBe(held.masters + held.moments);
    expect((await measured(gpu, () => optimizer.begin())).kept).toBe(plan.gradients);
    optimizer.dropGradients();
    expect(held.masters).toBe(dtype === "bfloat16" && state === "float32" ? held.moments / 2 : 0);
    expect(held.moments === 2 * (held.adapters || held.weights)).toBe(dtype === state);
    const tables = await measured(gpu, () => [model, reference].forEach((m) => m.rope(128)));
    expect(tables.kept).toBe(held.ropeTables);

    // 12 responses an optimizer step and 24 an iteration, 128 tokens each: 6 and 11 micro-batches, read together.
    const batch = packSequences([128, 128, 44].map((length) => new Uint32Array(length)));
    const pass = (count: number, record: () => Promise<Recorded<unknown>>) =>
      measured(gpu, async () => {
        const recorded: Recorded<unknown>[] = [];
        for (let i = 0; i < count; i++) recorded.push(await record());
        await readRecorded(gpu, joinRecorded(recorded));
      });
    const zeros = () => new Float32Array(300);
    const update = async (recompute: boolean) => {
      const { kept, peak } = await pass(6, () =>
        policyGradient(
          model,
          optimizer.gradients,
          batch,
          { weights: zeros(), advantages: zeros(), oldLogprobs: zeros() },
          { ...options, recompute },
        ),
      );
      optimizer.dropGradients();
      return { kept: kept - plan.gradients, peak };
    };
    expect(await update(true)).toEqual({ kept: 0, peak: phases.updateRecomputed });
    expect(await update(false)).toEqual({ kept: 0, peak: phases.updateKept });
    for (let step = 0; step < 2; step++)
      expect(await measured(gpu, () => optimizer.apply(1, 0))).toEqual({ kept: 0, peak: phases.optimizer });
    expect(phases.optimizer > plan.gradients).toBe(adamw.offload === true);
    expect(plan.host > 0).toBe(adamw.offload === true);
    const scoring = await pass(11, () => recordLogprobs(reference, batch, { temperature: 1 }));
    expect(scoring).toEqual({ kept: 0, peak: phases.reference });

    // 24 responses at once, and prompts that fill a pass of 2048 rows: 86 tokens to prefill, one to decode from.
    const requests = Array.from({ length: 24 }, (_, promptId) => ({ promptId, promptTokenIds: Array(87).fill(1) }));
    const sampling = { n: 1, maxTokens: 1, temperature: 1, topK: 0, topP: 1, seed: 0, stopTokenIds: [] };
    let positions = 0;
    const rollouts = await measured(gpu, async () => {
      const llm = new LLM(model, options.engine);
      positions = llm.numPositions;
      await llm.generate(requests, sampling);
      llm.dispose();
    });
    expect(rollouts).toEqual({ kept: 0, peak: phases.rollouts });
    expect(positions).toBe(plan.kvPositions);

    const phase = Math.max(phases.updateKept, phases.reference, phases.rollouts);
    expect(plan.total).toBe(Object.values(held).reduce((a, b) => a + b, 0) + phase + MAX_IDLE_BYTES);
    optimizer.dispose();
    for (const some of new Set([reference, model, whole])) some.dispose();
  });

  test.each([
    { limit: "engine.max_num_seqs", maxNumSeqs: 8, maxBindingSize: Infinity },
    { limit: "the logits that the adapter can bind", maxNumSeqs: 256, maxBindingSize: 8 * 4 * 30_000 },
  ])("of rollouts in turns, where $limit lets 8 of 24 run at once", async ({ maxNumSeqs, maxBindingSize }) => {
    const gpu = await openGpu();
    if (maxBindingSize < gpu.maxBindingSize) narrow(gpu, maxBindingSize);
    const config = tinyConfig({ vocab_size: 30_000 });
    const options: RlOptions = { ...TOY_RL, engine: { maxModelLen: 128, maxNumSeqs } };
    const { kvCache, phases } = await planMemory(config, "bfloat16", options, ADAMW, { like: gpu });
    const model = Model.random(gpu, config, { dtype: "bfloat16", seed: 1 });
    let llm!: LLM;
    expect((await measured(gpu, () => (llm = new LLM(model, options.engine)))).kept).toBe(kvCache);
    expect(llm.maxNumSeqs).toBe(8);
    model.rope(128);
    const requests = Array.from({ length: 24 }, (_, promptId) => ({ promptId, promptTokenIds: Array(127).fill(1) }));
    const sampling = { n: 1, maxTokens: 1, temperature: 1, topK: 0, topP: 1, seed: 0, stopTokenIds: [] };
    const peak = phases.rollouts - kvCache;
    expect(await measured(gpu, () => llm.generate(requests, sampling))).toEqual({ kept: 0, peak });
    gpu.dispose();
  });

  test.each([true, false])("a run stays within it, recomputation %s", async (recompute) => {
    const gpu = await testGpu();
    const tokenizer = toyTokenizer();
    const config = tinyConfig({ vocab_size: 14, max_position_embeddings: 32 });
    const options: RlOptions = { ...TOY_RL, recompute, maxIterations: 2, maxCompletionLength: 29 };
    const { total } = await planMemory(config, "bfloat16", options, ADAMW, { like: gpu });
    const { peak } = await measured(gpu, async () => {
      const model = Model.random(gpu, config, { dtype: "bfloat16", seed: 5 });
      const optimizer = await AdamW.create(model, ADAMW);
      const setup = { model, reference: await model.clone(), optimizer, tokenizer, task: toyTask(), stopTokenIds: [0] };
      for await (const { metrics } of trainRl(setup, options)) expect(metrics.num_tokens).toBeGreaterThan(0);
      setup.reference.dispose();
      optimizer.dispose();
      model.dispose();
    });
    expect(peak).toBeLessThanOrEqual(total - MAX_IDLE_BYTES);
    expect(peak).toBeGreaterThan((total - MAX_IDLE_BYTES) / 2);
  });
});

const root = new URL("../..", import.meta.url).pathname;
const shape = (name: string): ModelConfig =>
  parseModelConfig(JSON.parse(readFileSync(`${root}/configs/shapes/deepseek-ai/${name}.json`, "utf8")), name);

describe("the models of the paper", () => {
  test.each([
    ["DeepSeek-R1-Distill-Qwen-1.5B", 1_777_088_000],
    ["DeepSeek-R1-Distill-Qwen-7B", 7_615_616_512],
  ])("%s has its %d parameters", (name, parameters) => {
    const sizes = Array.from(parameterShapes(shape(name)).values(), (dims) => dims.reduce((a, b) => a * b, 1));
    expect(sizes.reduce((a, b) => a + b, 0)).toBe(parameters);
  });

  const options = (json: object) => rlOptions(parseConfig(json));
  const long = { engine: { max_model_len: 32512 }, train: { tokens_per_micro_batch: 32512 } };

  test("bytes are those of arithmetic, but for what the pool rounds up", async () => {
    const plan = await planMemory(shape("DeepSeek-R1-Distill-Qwen-1.5B"), "bfloat16", options(long), ADAMW);
    const { held, phases, gradients } = plan;
    const parameters = 1_777_088_000;
    const near = (got: number, exact: number) => {
      expect(got).toBeGreaterThanOrEqual(exact);
      expect(got).toBeLessThan(1.25 * exact);
    };
    near(held.weights, 2 * parameters);
    near(held.masters, 4 * parameters);
    near(held.moments, 8 * parameters);
    near(gradients, 4 * parameters);
    // Kept for the backward pass, per token and layer: 6 x 1536 + 8960 f32, and in bf16 2 x 8960 and keys and values of 2 x 128.
    near(phases.updateKept - gradients, 32512 * 28 * (4 * (6 * 1536 + 8960) + 2 * 2 * (8960 + 256)));
    expect(phases.updateRecomputed - gradients).toBeLessThan((phases.updateKept - gradients) / 8);
  });

  test("the KV cache keeps to the limits of the adapter that is planned for; what else is larger is planned all the same", async () => {
    const { tier, matrices, info, tuning, limits: own } = await testGpu();
    const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = own;
    const compute = { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize };
    const limits = { ...compute, maxBufferSize: 2 ** 30, maxStorageBufferBindingSize: 2 ** 24 } as GPUSupportedLimits;
    const like = { tier, matrices, info, tuning, limits, maxBindingSize: 2 ** 24 };
    const plan = await planMemory(shape("DeepSeek-R1-Distill-Qwen-1.5B"), "bfloat16", options(long), ADAMW, { like });
    expect(plan.kvPositions).toBe(2 ** 24 / 512 - 16); // less a spare block; 2 heads of 128 in bf16 a position
    expect(plan.largestBuffer).toBeGreaterThan(2 ** 29);
    expect(plan.largestBinding).toBeGreaterThan(2 ** 24);
  });

  test("state in bf16 needs no masters and half the moments", async () => {
    const plan = (adamw: AdamWOptions) =>
      planMemory(shape("DeepSeek-R1-Distill-Qwen-1.5B"), "bfloat16", options(long), adamw);
    const [f32, bf16] = [await plan(ADAMW), await plan(ADAMW_BF16)];
    expect(bf16.held).toEqual({ ...f32.held, masters: 0, moments: f32.held.moments / 2 });
    expect(f32.total - bf16.total).toBe(f32.held.masters + f32.held.moments / 2);
  });

  test("adapters of rank 32 leave the weights and what is sampled as they are, and take a tenth of the rest", async () => {
    const plan = (lora: LoraConfig | null) =>
      planMemory(shape("DeepSeek-R1-Distill-Qwen-1.5B"), "bfloat16", options(long), ADAMW, { lora });
    const [all, adapters] = [await plan(null), await plan({ ...LORA, r: 32 })];
    const { weights, ropeTables } = all.held;
    expect(adapters.held).toMatchObject({ weights, ropeTables: ropeTables / 2, reference: 0 });
    expect(adapters.kvCache).toBe(all.kvCache);
    expect(adapters.gradients).toBeLessThan(all.gradients / 10);
    // Of each layer A [32, K] and B [N, 32]: K + N of q and o, k and v, gate, up and down.
    const parameters = 28 * 32 * (2 * (1536 + 1536) + 2 * (1536 + 256) + 3 * (1536 + 8960));
    expect(adapters.held.adapters).toBeGreaterThanOrEqual(2 * parameters);
    expect(adapters.held.adapters).toBeLessThan(2.5 * parameters);
    for (const kind of ["masters", "moments"] as const) expect(adapters.held[kind]).toBeLessThan(all.held[kind] / 10);
  });

  test("no reference where beta is 0, no masters in f32", async () => {
    const { held, phases } = await planMemory(tinyConfig(), "float32", options({ rl: { beta: 0 } }), ADAMW);
    expect([held.reference, held.masters, phases.reference]).toEqual([0, 0, 0]);
  });

  test("a reference that is read for its passes takes memory in them alone", async () => {
    const plan = (offloadReference: boolean) =>
      planMemory(tinyConfig(), "bfloat16", options({}), ADAMW, { offloadReference });
    const [held, opened] = [await plan(false), await plan(true)];
    const { reference, ropeTables } = held.held;
    expect(opened.held).toMatchObject({ reference: 0, ropeTables: ropeTables / 2 });
    expect(opened.phases).toEqual({
      ...held.phases,
      reference: held.phases.reference + reference + ropeTables / 2,
    });
  });

  test("of layers over devices it is the fullest one's, and each of four takes little more than a quarter", async () => {
    const config = tinyConfig({ num_hidden_layers: 8, hidden_size: 256, intermediate_size: 1024 });
    const plan = (layers?: number[]) =>
      planMemory(config, "bfloat16", options({}), ADAMW, { ...(layers && { layers }) });
    const [one, four] = [await plan(), await plan([2, 2, 2, 2])];
    expect(one.totals).toEqual([one.total]);
    expect(four.totals).toHaveLength(4);
    expect(four.total).toBe(Math.max(...four.totals));
    expect(four.held.weights).toBeGreaterThan(one.held.weights / 4);
    expect(four.total - four.idle).toBeLessThan((one.total - one.idle) / 2);
  });

  test("a micro-batch is as large as the longest sequence, whatever its budget, and no larger than what there is", async () => {
    const tokens = async (budget: number) => {
      const rl = { num_prompts: 2, num_generations: 2, num_steps: 2 };
      const plan = options({ rl, engine: { max_model_len: 100 }, train: { tokens_per_micro_batch: budget } });
      return (await planMemory(tinyConfig(), "bfloat16", plan, ADAMW)).microBatchTokens;
    };
    expect([await tokens(16), await tokens(150), await tokens(8192)]).toEqual([100, 150, 200]);
  });
});
