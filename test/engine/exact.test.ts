import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { LLM, type RequestOutput } from "../../src/engine/llm.ts";
import type { SamplingParams } from "../../src/engine/sampling-params.ts";
import { packSequences } from "../../src/model/batch.ts";
import { Model } from "../../src/model/model.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { tokenLogprobs } from "../../src/train/policy.ts";
import { randn, testGpu, tiersHere } from "../helpers/gpu.ts";

const REASONER = fileURLToPath(new URL("../../models/reasoner", import.meta.url));

const CASES = (await tiersHere()).flatMap((tier) =>
  (["float32", "bfloat16"] as const).map((dtype) => ({ tier, dtype })),
);

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

describe.each(CASES)("the bundled reasoner in $dtype, $tier", ({ tier, dtype }) => {
  test("1,000 responses from mixed batches have the trainer's log-probabilities, and those that they have alone", async () => {
    const model = await Model.load(await testGpu(tier), nodeFiles, REASONER, { dtype });
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
  });
});
