import { ConfigError } from "../errors.ts";
import { byteLength } from "../gpu/tensor.ts";
import type { Model } from "../model/model.ts";

export interface EngineOptions {
  /** Positions in a block of the KV cache. */
  blockSize?: number;
  /** Memory for keys and values; what does not fit waits its turn. */
  kvCacheBytes?: number;
  /** Sequences that decode together at most. */
  maxNumSeqs?: number;
  /** Prompt and completion together; the model's own context at most. */
  maxModelLen?: number;
}

export const DEFAULT_KV_CACHE_BYTES = 2 ** 30;
const DEFAULT_MAX_NUM_SEQS = 256;

/** What an engine with these options has: the options with their defaults, and the blocks of its KV cache. */
export interface EngineSize {
  blockSize: number;
  maxNumSeqs: number;
  maxModelLen: number;
  /** Besides them there is one that belongs to no sequence. */
  numBlocks: number;
}

/** Rows of a batch for `count` sequences: few sizes, so that few recordings are made as sequences end one after the other. */
export const paddedRows = (count: number): number =>
  count < 16 ? 2 ** Math.ceil(Math.log2(count)) : Math.ceil(count / 16) * 16;

/** The most sequences whose batch has no more than `rows` rows. */
const largestBatch = (rows: number): number =>
  rows < 16 ? 2 ** Math.floor(Math.log2(rows)) : Math.floor(rows / 16) * 16;

/** @throws ConfigError where the KV cache does not hold the longest sequence */
export function engineSize(model: Model, options: EngineOptions): EngineSize {
  const { numLayers, maxPositionEmbeddings } = model.config;
  const blockSize = options.blockSize ?? 16;
  const maxModelLen = Math.min(options.maxModelLen ?? maxPositionEmbeddings, maxPositionEmbeddings);
  const { maxBufferSize, maxStorageBufferBindingSize } = model.gpu.limits;
  const logitBytes = byteLength([model.config.vocabSize], "f32"); // of a sequence; those of all are one tensor
  const most = largestBatch(Math.max(1, Math.floor(model.gpu.maxBindingSize / logitBytes)));
  const maxNumSeqs = Math.min(options.maxNumSeqs ?? DEFAULT_MAX_NUM_SEQS, most);
  const perLayer = Math.min(
    (options.kvCacheBytes ?? DEFAULT_KV_CACHE_BYTES) / (2 * numLayers),
    maxBufferSize,
    maxStorageBufferBindingSize,
  );
  const wanted = maxNumSeqs * Math.ceil(maxModelLen / blockSize);
  const numBlocks = Math.min(wanted, Math.floor(perLayer / blockBytes(model, blockSize)) - 1); // less the spare block
  if (numBlocks * blockSize < maxModelLen) {
    throw new ConfigError(
      `the KV cache holds ${numBlocks * blockSize} positions, expected at least one sequence of ${maxModelLen}; raise engine.kv_cache_bytes or lower engine.max_model_len`,
    );
  }
  return { blockSize, maxNumSeqs, maxModelLen, numBlocks };
}

/** Options for an engine of so many sequences, with their share of the KV cache or as much of it as one sequence needs. */
export function shareOfEngine(model: Model, full: EngineSize, maxNumSeqs: number): EngineOptions {
  const { blockSize, maxModelLen, numBlocks } = full;
  const share = Math.floor((numBlocks * maxNumSeqs) / full.maxNumSeqs);
  const blocks = Math.max(Math.ceil(maxModelLen / blockSize), share);
  const kvCacheBytes = 2 * model.config.numLayers * (blocks + 1) * blockBytes(model, blockSize);
  return { blockSize, kvCacheBytes, maxNumSeqs, maxModelLen };
}

/** Bytes of a block's keys, or of its values, in one layer. */
const blockBytes = ({ config: { numKvHeads, headDim }, storage }: Model, blockSize: number): number =>
  byteLength([blockSize, numKvHeads, headDim], storage);
