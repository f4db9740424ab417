/**
 * Whether what is sampled has the trainer's log-probabilities to the bit: RESPONSES (default 1,000) of mixed batches, of contexts up to
 * 4,096 tokens and heads of 16, 64 and 128 in groups of 1 to 8, in every tier of the adapter (or that of PITH_TIER) and both dtypes;
 * and whether a sequence alone, and one that is preempted and resumed, has the bits that it has among 64. With "adapters" the models are
 * adapters beside all linear layers.
 *
 *   npm run test:exact [-- RESPONSES [adapters]]      prints the figures; 1 if anything differs
 */
import { isDeepStrictEqual } from "node:util";
import process from "node:process";
import type { SamplingParams } from "../../src/engine/sampling-params.ts";
import { ConfigError } from "../../src/errors.ts";
import { TIERS } from "../../src/gpu/tier.ts";
import { LoraModel } from "../../src/model/lora.ts";
import { Model } from "../../src/model/model.ts";
import { positionBytes } from "../../src/measure/cost.ts";
import { randomAt } from "../../src/core/rng.ts";
import { openGpu } from "../helpers/host-node.ts";
import { tinyConfig } from "../helpers/models.ts";
import { largestDifference, sampled } from "./sampled.ts";

const SHAPES = [
  { headDim: 16, heads: 4, kvHeads: 4 },
  { headDim: 16, heads: 10, kvHeads: 2 },
  { headDim: 64, heads: 4, kvHeads: 2 },
  { headDim: 64, heads: 7, kvHeads: 1 },
  { headDim: 128, heads: 3, kvHeads: 1 },
  { headDim: 128, heads: 8, kvHeads: 1 },
];
const CONTEXT = 4096;
const NEW_TOKENS = 16;
const VOCABULARY = 64;
const wanted = Number(process.argv[2] ?? 1000);
const withAdapters = process.argv[3] === "adapters";
const LORA = { r: 8, alpha: 16, useRslora: false, targetModules: "all-linear", baseModel: null } as const;

const params: SamplingParams = {
  n: 2,
  temperature: 1,
  topK: 0,
  topP: 1,
  maxTokens: NEW_TOKENS,
  seed: 5,
  stopTokenIds: [0],
};

/** Of each shape's prompts the first is as long as fits, the next two are of a thousand tokens, the others of up to 300. */
const prompts = (count: number) =>
  Array.from({ length: count }, (_, promptId) => {
    const short = 1 + Math.floor(299 * randomAt(3, promptId, 0) ** 2);
    const length = promptId === 0 ? CONTEXT - NEW_TOKENS : promptId < 3 ? 1000 + promptId : short;
    const promptTokenIds = Array.from({ length }, (_unused, t) => 1 + Math.floor(63 * randomAt(4, promptId, t)));
    return { promptId, promptTokenIds };
  });

/** At its initial scale a model's distribution is nearly uniform, and a wrong one would look like it. */
async function sharpened(model: Model): Promise<Model> {
  for (const [name, tensor] of model.parameters) {
    if (name.endsWith("norm.weight")) continue;
    model.gpu.write(
      tensor,
      (await model.gpu.readF32(tensor)).map((w) => 6 * w),
    );
  }
  return model;
}

/** An adapter that says something: a new one's B is 0. */
async function adapted(base: Model): Promise<Model> {
  const model = await LoraModel.create(base, LORA, { seed: 3 });
  for (const [stream, tensor] of [...model.trainable.values()].entries())
    model.gpu.write(
      tensor,
      Float32Array.from({ length: tensor.size }, (_, i) => randomAt(5, stream, i) - 0.5),
    );
  return model;
}

let failures = 0;
for (const tier of TIERS.filter((name) => (process.env["PITH_TIER"] ?? name) === name)) {
  let gpu;
  try {
    gpu = await openGpu(undefined, tier);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stdout.write(`${tier}: not on this adapter\n`);
    continue;
  }
  for (const dtype of ["float32", "bfloat16"] as const) {
    const started = Date.now();
    const total = { responses: 0, largest: 0, alone: 0, resumed: 0, different: 0 };
    for (const { headDim, heads, kvHeads } of SHAPES) {
      const config = tinyConfig({
        vocab_size: VOCABULARY,
        num_hidden_layers: 1,
        num_attention_heads: heads,
        num_key_value_heads: kvHeads,
        head_dim: headDim,
        max_position_embeddings: CONTEXT,
      });
      const base = await sharpened(Model.random(gpu, config, { dtype, seed: 3 }));
      const model = withAdapters ? await adapted(base) : base;
      const requests = prompts(Math.ceil(wanted / params.n / SHAPES.length));
      const position = positionBytes(config, model.storage);
      const outputs = await sampled(model, requests, params, {
        maxNumSeqs: 64,
        kvCacheBytes: 4 * CONTEXT * position,
      });
      const { responses, largest } = await largestDifference(model, outputs, params.temperature, CONTEXT);
      total.responses += responses;
      total.largest = Math.max(total.largest, largest);
      for (const i of [1, 5]) {
        const [alone] = await sampled(model, [requests[i]!], params, { maxNumSeqs: 1 });
        total.alone++;
        if (!isDeepStrictEqual(alone, outputs[i])) total.different++;
      }
      // Room for a few of them, which take turns.
      const few = { from: 3, to: 19 };
      const resumed = await sampled(model, requests.slice(few.from, few.to), params, {
        maxModelLen: 512,
        blockSize: 8,
        kvCacheBytes: 700 * position,
      });
      total.resumed += resumed.length;
      if (!isDeepStrictEqual(resumed, outputs.slice(few.from, few.to))) total.different++;
      for (const some of new Set([model, base])) some.dispose();
    }
    failures += total.different + (total.largest === 0 ? 0 : 1);
    process.stdout.write(
      `${tier}, ${dtype}: ${total.responses} responses, largest |sampler - trainer| ${total.largest}; ` +
        `${total.alone} prompts alone and ${total.resumed} in a small cache, ${total.different} different; ` +
        `${Math.round((Date.now() - started) / 1000)} s\n`,
    );
  }
  gpu.dispose();
}
process.exit(failures > 0 ? 1 : 0);
