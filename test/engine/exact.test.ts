import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { LLM, type RequestOutput } from "../../src/engine/llm.ts";
import type { SamplingParams } from "../../src/engine/sampling-params.ts";
import { packSequences } from "../../src/model/batch.ts";
import { LoraModel } from "../../src/model/lora.ts";
import { Model } from "../../src/model/model.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { tokenLogprobs } from "../../src/train/policy.ts";
import { randn, testGpu, tiersHere } from "../helpers/gpu.ts";

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

const RESPONSES = 1000;
const MICRO_BATCH = 100;
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
  test("1,000 responses from mixed batches have the trainer's log-probabilities, and those that they have alone", async () => {
    const base = await Model.load(await testGpu(tier), nodeFiles, REASONER, { dtype });
    const model = name.startsWith("an adapter") ? await adapted(base) : base;
    const generate = async (some: typeof requests, maxNumSeqs: number): Promise<RequestOutput[]> => {
      const llm = new LLM(model, { maxNumSeqs, maxModelLen: 64 });
      const outputs = await llm.generate(some, params);
      llm.dispose();
      return outputs;
    };
    // As one response ends another takes its place: the 64 that run together start and stand at different positions.
    const outputs = await generate(requests, 64);
    const responses = outputs.flatMap(({ promptTokenIds, outputs: samples }) =>
      samples.map((sample) => ({ promptTokenIds, ...sample })),
    );
    expect(responses.length).toBe(RESPONSES);

    let largest = 0;
    for (let first = 0; first < RESPONSES; first += MICRO_BATCH) {
      const some = responses.slice(first, first + MICRO_BATCH);
      const packed = packSequences(some.map((r) => [...r.promptTokenIds, ...r.tokenIds]));
      const { logprobs } = await tokenLogprobs(model, packed, { temperature: params.temperature });
      some.forEach((response, s) => {
        const start = packed.cuSeqlens[s]! + response.promptTokenIds.length;
        response.logprobs.forEach((sampled, t) => {
          largest = Math.max(largest, Math.abs(sampled - logprobs[start + t]!));
        });
      });
    }
    expect(largest).toBe(0);

    const alone = outputs[123]!;
    expect(await generate([requests[123]!], 1)).toEqual([alone]);
    model.dispose();
    if (model !== base) base.dispose();
  });
});
