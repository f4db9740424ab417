import type { Cost } from "../gpu/recorder.ts";
import type { Storage } from "../gpu/tensor.ts";
import type { ModelConfig } from "../model/config.ts";
import { countParameters, multipliedParameters } from "./models.ts";

export type { Cost };

const width = (storage: Storage): number => (storage === "bf16" ? 2 : 4);

/** Bytes of keys and values of one position, in all layers. */
export const positionBytes = ({ numLayers, numKvHeads, headDim }: ModelConfig, storage: Storage): number =>
  2 * numLayers * numKvHeads * headDim * width(storage);

/** Scores and weighted sums of `pairs` of a query and a key it sees, in all layers. */
const attentionFlops = ({ numLayers, numHeads, headDim }: ModelConfig, pairs: number): number =>
  4 * numLayers * numHeads * headDim * pairs;

const causalPairs = (lengths: readonly number[]): number => lengths.reduce((sum, n) => sum + (n * (n + 1)) / 2, 0);
const total = (lengths: readonly number[]): number => lengths.reduce((a, b) => a + b, 0);

/** Keys and values of prompts. The head is not needed. */
export const prefillCost = (config: ModelConfig, storage: Storage, lengths: readonly number[]): Cost => {
  const inLayers = countParameters(config) - config.vocabSize * config.hiddenSize * (config.tieWordEmbeddings ? 1 : 2);
  return {
    flops: 2 * inLayers * total(lengths) + attentionFlops(config, causalPairs(lengths)),
    bytes: width(storage) * inLayers + total(lengths) * positionBytes(config, storage),
  };
};

/** A step of decoding: every weight is read once, and what each of the `rows` sequences has in the cache. */
export const decodeCost = (config: ModelConfig, storage: Storage, rows: number, context: number): Cost => ({
  flops: 2 * multipliedParameters(config) * rows + attentionFlops(config, rows * context),
  bytes: width(storage) * multipliedParameters(config) + rows * context * positionBytes(config, storage),
});

/** A forward pass with log-probabilities. */
export const forwardCost = (config: ModelConfig, storage: Storage, lengths: readonly number[]): Cost => ({
  flops: 2 * multipliedParameters(config) * total(lengths) + attentionFlops(config, causalPairs(lengths)),
  bytes: width(storage) * multipliedParameters(config),
});

/** Forward and backward pass: a product becomes three, attention's two become seven. Gradients are added to in f32. */
export const gradientCost = (config: ModelConfig, storage: Storage, lengths: readonly number[]): Cost => ({
  flops: 6 * multipliedParameters(config) * total(lengths) + 3.5 * attentionFlops(config, causalPairs(lengths)),
  bytes: 3 * width(storage) * multipliedParameters(config) + 8 * countParameters(config),
});

/** AdamW with its state in f32: gradients are read twice and cleared, moments and masters read and written. */
export const optimizerCost = (config: ModelConfig, storage: Storage): Cost => ({
  flops: 16 * countParameters(config),
  bytes: (12 + 16 + (storage === "bf16" ? 10 : 8)) * countParameters(config),
});

export const addCosts = (...costs: readonly Cost[]): Cost => ({
  flops: total(costs.map(({ flops }) => flops)),
  bytes: total(costs.map(({ bytes }) => bytes)),
});

/** Products of an attention: two forward, seven backward, and two more where the forward pass is run again. */
const PRODUCTS = { forward: 2, gradient: 9, recomputed: 11 };

/** Attention of packed sequences, in all layers; every 128 queries of a head read the keys and values that they see. */
export const attentionCost = (
  config: ModelConfig,
  storage: Storage,
  lengths: readonly number[],
  pass: keyof typeof PRODUCTS,
): Cost => {
  const share = PRODUCTS[pass] / 2;
  const pairs = causalPairs(lengths);
  return {
    flops: share * attentionFlops(config, pairs),
    bytes: share * (total(lengths) * 4 * (4 / width(storage)) + pairs / 128) * positionBytes(config, storage),
  };
};

/** Attention of `tokens` decoded tokens, each over `context` positions. */
export const decodeAttentionCost = (config: ModelConfig, storage: Storage, tokens: number, context: number): Cost => ({
  flops: attentionFlops(config, tokens * context),
  bytes: tokens * context * positionBytes(config, storage),
});
