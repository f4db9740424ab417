import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { SamplingParams } from "../../src/engine/sampling-params.ts";
import { LoraModel } from "../../src/model/lora.ts";
import { Model } from "../../src/model/model.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { randn, testGpu, tiersHere } from "../helpers/gpu.ts";
import { largestDifference, sampled } from "./sampled.ts";

const REASONER = fileURLToPath(new URL("../../models/reasoner", import.meta.url));

const CASES = (await tiersHere()).flatMap((tier) => [
  { tier, dtype: "float32" as const, name: "the bundled reasoner" },
  { tier, dtype: "bfloat16" as const, name: "the bundled reasoner" },
  { tier, dtype: "bfloat16" as const, name: "an adapter over the bundled reasoner" },
]);

/** One that draws other tokens than its base. */
async function adapted(base: Model): Promise<Model> {
  const lora = { r: 8, alpha: 16, useRslora: true, targetModules: "all-linear" as const, baseModel: null };
  const model = await LoraModel.create(base, lora, { seed: 1 });
  let seed = 0;
  for (const [name, tensor] of model.trainable)
    if (name.endsWith("lora_B.weight")) base.gpu.write(tensor, randn(seed++, tensor.size, 0.02));
  return model;
}

/** `npm run test:exact` samples 1,000 of longer contexts. */
const RESPONSES = 160;
const params: SamplingParams = { n: 4, temperature: 1, topK: 0, topP: 1, maxTokens: 24, seed: 5, stopTokenIds: [4] };

/** Prompts of 2 to 40 tokens that mean nothing. */
const requests = Array.from({ length: RESPONSES / params.n }, (_, promptId) => ({
  promptId,
  promptTokenIds: Array.from(
    randn(promptId, 2 + ((promptId * 7) % 39)),
    (v) => 5 + (Math.floor(Math.abs(v) * 40) % 110),
  ),
}));

describe.each(CASES)("$name in $dtype, $tier", { timeout: 240_000 }, ({ tier, dtype, name }) => {
  test("responses from mixed batches have the trainer's log-probabilities, and those that they have alone", async () => {
    const base = await Model.load(await testGpu(tier), nodeFiles, REASONER, { dtype });
    const model = name.startsWith("an adapter") ? await adapted(base) : base;
    // As one response ends another takes its place: the 64 that run together start and stand at different positions.
    const outputs = await sampled(model, requests, params, { maxNumSeqs: 64, maxModelLen: 64 });
    expect(await largestDifference(model, outputs, params.temperature, 4096)).toEqual({
      responses: RESPONSES,
      largest: 0,
    });
    expect(await sampled(model, [requests[12]!], params, { maxNumSeqs: 1, maxModelLen: 64 })).toEqual([outputs[12]!]);
    model.dispose();
    if (model !== base) base.dispose();
  });
});
