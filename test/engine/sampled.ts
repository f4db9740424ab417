import { LLM, type RequestOutput } from "../../src/engine/llm.ts";
import type { EngineOptions } from "../../src/engine/engine-size.ts";
import type { SamplingParams } from "../../src/engine/sampling-params.ts";
import { packSequences } from "../../src/model/batch.ts";
import type { Model } from "../../src/model/model.ts";
import { tokenLogprobs } from "../../src/train/policy.ts";

type Requests = readonly { promptId: number; promptTokenIds: number[] }[];

/** Samples from an engine of its own. */
export async function sampled(
  model: Model,
  requests: Requests,
  params: SamplingParams,
  options: EngineOptions,
): Promise<RequestOutput[]> {
  const llm = new LLM(model, options);
  const outputs = await llm.generate(requests, params);
  llm.dispose();
  return outputs;
}

/**
 * How many responses there are, and the largest difference of a sampled token's log-probability from the trainer's, in micro-batches
 * of up to `budget` tokens.
 */
export async function largestDifference(
  model: Model,
  outputs: readonly RequestOutput[],
  temperature: number,
  budget: number,
): Promise<{ responses: number; largest: number }> {
  const responses = outputs.flatMap(({ promptTokenIds, outputs: samples }) =>
    samples.map(({ tokenIds, logprobs }) => ({ tokens: [...promptTokenIds, ...tokenIds], logprobs })),
  );
  let largest = 0;
  let batch: typeof responses = [];
  const compare = async () => {
    const packed = packSequences(batch.map(({ tokens }) => tokens));
    const { logprobs } = await tokenLogprobs(model, packed, { temperature });
    batch.forEach(({ logprobs: ofSampler }, s) => {
      const first = packed.cuSeqlens[s + 1]! - ofSampler.length;
      ofSampler.forEach((value, t) => {
        const difference = Math.abs(value - logprobs[first + t]!);
        largest = Math.max(largest, Number.isFinite(difference) ? difference : Infinity);
      });
    });
    batch = [];
  };
  for (const response of responses) {
    const tokens = batch.reduce((sum, { tokens: { length } }) => sum + length, response.tokens.length);
    if (batch.length > 0 && tokens > budget) await compare();
    batch.push(response);
  }
  await compare();
  return { responses: responses.length, largest };
}
