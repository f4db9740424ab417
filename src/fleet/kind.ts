import { createHash } from "node:crypto";
import { LLM } from "../engine/llm.ts";
import type { Model } from "../model/model.ts";
import { itemLogprobs } from "../train/logprobs.ts";
import { MicroBatches } from "../train/micro-batches.ts";

/** Responses and tokens of the probe: 512 tokens in all where the context allows. */
const PROMPTS = 4;
const SAMPLES = 2;
const PROMPT_TOKENS = 8;
const TOKENS = 64;

/**
 * Which bits an adapter computes: the SHA-256 of the tokens and log-probabilities of a fixed probe under `model`'s weights, decoded
 * one by one and batched. Adapters of one kind draw the same responses and train on the same numbers; what they are called says
 * little.
 */
export async function kindOf(model: Model): Promise<string> {
  const { vocabSize, maxPositionEmbeddings } = model.config;
  const maxModelLen = Math.min(PROMPT_TOKENS + TOKENS, maxPositionEmbeddings);
  const prompts = Array.from({ length: PROMPTS }, (_, promptId) => ({
    promptId,
    promptTokenIds: Array.from({ length: PROMPT_TOKENS }, (_token, i) => (7919 * (i + 1) * (promptId + 1)) % vocabSize),
  }));
  const llm = new LLM(model, { maxNumSeqs: PROMPTS * SAMPLES, maxModelLen });
  let drawn;
  try {
    const params = { n: SAMPLES, temperature: 1, topK: 0, topP: 1, maxTokens: TOKENS, seed: 0, stopTokenIds: [] };
    drawn = await llm.generate(prompts, params);
  } finally {
    llm.dispose();
  }
  const sequences = drawn.flatMap(({ promptTokenIds, outputs }) =>
    outputs.map(({ tokenIds }) => [...promptTokenIds, ...tokenIds]),
  );
  const batches = new MicroBatches(PROMPTS * SAMPLES * maxModelLen);
  const batched = await itemLogprobs(batches, model, [sequences], { temperature: 1 });
  const hash = createHash("sha256");
  for (const sequence of sequences) hash.update(Uint32Array.from(sequence));
  for (const { outputs } of drawn) for (const { logprobs } of outputs) hash.update(Float32Array.from(logprobs));
  for (const logprobs of batched[0]!) hash.update(logprobs);
  return hash.digest("hex");
}
