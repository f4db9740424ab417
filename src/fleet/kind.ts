import { LLM } from "../engine/llm.ts";
import type { Model } from "../model/model.ts";
import { itemLogprobs } from "../train/logprobs.ts";
import { MicroBatches } from "../train/micro-batches.ts";

/** Responses and tokens of the probe: 512 tokens in all where the context allows. */
const PROMPTS = 4;
const SAMPLES = 2;
const PROMPT_TOKENS = 8;
const TOKENS = 64;

/** What a model draws and scores on an adapter. */
export interface Probe {
  /** Prompts and responses. */
  tokenIds: Uint32Array;
  /** Of each response token as it was drawn, then of each token as it is trained on. */
  logprobs: Float32Array;
}

/**
 * Which bits an adapter computes: the SHA-256 of the tokens and log-probabilities of a fixed probe under a model's weights, decoded
 * one by one and batched. Adapters of one kind draw the same responses and train on the same numbers; what they are called says
 * little.
 */
export async function kindOf(probe: Probe): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", probeBytes(probe)));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** As it is hashed, and as a guest sends it. */
export function probeBytes({ tokenIds, logprobs }: Probe): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4 * (tokenIds.length + logprobs.length));
  bytes.set(new Uint8Array(tokenIds.buffer, tokenIds.byteOffset, tokenIds.byteLength));
  bytes.set(new Uint8Array(logprobs.buffer, logprobs.byteOffset, logprobs.byteLength), tokenIds.byteLength);
  return bytes;
}

/** Of bytes that are as long as those of a probe `like` this one; null otherwise. */
export function probeOf(bytes: Uint8Array, like: Probe): Probe | null {
  const at = like.tokenIds.byteLength;
  if (bytes.length !== at + like.logprobs.byteLength) return null;
  const { buffer } = Uint8Array.from(bytes);
  return { tokenIds: new Uint32Array(buffer, 0, at / 4), logprobs: new Float32Array(buffer, at) };
}

/** Draws and scores the fixed prompts. */
export async function probe(model: Model): Promise<Probe> {
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
  const drawnLogprobs = drawn.flatMap(({ outputs }) => outputs.flatMap(({ logprobs }) => logprobs));
  return {
    tokenIds: Uint32Array.from(sequences.flat()),
    logprobs: Float32Array.from([...drawnLogprobs, ...batched[0]!.flatMap((logprobs) => [...logprobs])]),
  };
}
