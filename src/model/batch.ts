import { ConfigError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** Sequences packed end to end, each a prompt followed by its completion. */
export interface PackedBatch {
  /** [T] */
  tokenIds: Uint32Array;
  /** [S + 1]: sequence s is the tokens cuSeqlens[s] to cuSeqlens[s + 1]. */
  cuSeqlens: Uint32Array;
}

export function packSequences(sequences: readonly ArrayLike<number>[]): PackedBatch {
  const cuSeqlens = new Uint32Array(sequences.length + 1);
  sequences.forEach((sequence, s) => (cuSeqlens[s + 1] = cuSeqlens[s]! + sequence.length));
  const tokenIds = new Uint32Array(cuSeqlens[sequences.length]!);
  sequences.forEach((sequence, s) => tokenIds.set(sequence, cuSeqlens[s]!));
  return { tokenIds, cuSeqlens };
}

/** A packed batch on each device of a job. */
export type Batch = ReadonlyMap<Gpu, DeviceBatch>;

/** A packed batch on a device, all u32 [T]. */
export interface DeviceBatch {
  ids: Tensor;
  /** Position of a token in its sequence. */
  positions: Tensor;
  /** First row of a token's sequence, and one past its last row. */
  starts: Tensor;
  ends: Tensor;
  /** The next token of the same sequence; 0 in a sequence's last row, whose prediction nobody uses. */
  targets: Tensor;
  /** Longest sequence. */
  maxLength: number;
}

/** First row of each row's own sequence, and one past its last row: u32 [T] each. */
export function sequenceBounds(cuSeqlens: Uint32Array): { starts: Uint32Array; ends: Uint32Array } {
  const rows = cuSeqlens.at(-1)!;
  const starts = new Uint32Array(rows);
  const ends = new Uint32Array(rows);
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    starts.fill(cuSeqlens[s]!, cuSeqlens[s], cuSeqlens[s + 1]);
    ends.fill(cuSeqlens[s + 1]!, cuSeqlens[s], cuSeqlens[s + 1]);
  }
  return { starts, ends };
}

/** @throws ConfigError for an id beyond `vocabSize`, which the kernels would read out of bounds */
export function uploadBatch(gpu: Gpu, { tokenIds, cuSeqlens }: PackedBatch, vocabSize: number): Batch {
  const outside = tokenIds.find((id) => id >= vocabSize);
  if (outside !== undefined)
    throw new ConfigError(
      `expected token ids from 0 to ${vocabSize - 1}, the model's vocab_size, got ${outside}; tokenizer and model do not belong together`,
    );
  const rows = tokenIds.length;
  const positions = new Uint32Array(rows);
  const { starts, ends } = sequenceBounds(cuSeqlens);
  const targets = new Uint32Array(rows);
  let maxLength = 0;
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    const start = cuSeqlens[s]!;
    const end = cuSeqlens[s + 1]!;
    maxLength = Math.max(maxLength, end - start);
    for (let t = start; t < end; t++) {
      positions[t] = t - start;
      if (t + 1 < end) targets[t] = tokenIds[t + 1]!;
    }
  }
  const on = (device: Gpu): DeviceBatch => {
    const upload = (data: Uint32Array) => device.upload(data, [rows], "u32");
    return {
      ids: upload(tokenIds),
      positions: upload(positions),
      starts: upload(starts),
      ends: upload(ends),
      targets: upload(targets),
      maxLength,
    };
  };
  return new Map(gpu.devices.map((device) => [device, on(device)]));
}

export function releaseBatch(batch: Batch): void {
  for (const [gpu, { ids, positions, starts, ends, targets }] of batch)
    gpu.release(ids, positions, starts, ends, targets);
}

/** Values of each sequence's last tokens, its response, laid out per token: f32 [T], 0 at the others. */
export function layResponses(
  { tokenIds, cuSeqlens }: PackedBatch,
  responses: readonly ArrayLike<number>[],
): Float32Array {
  const values = new Float32Array(tokenIds.length);
  responses.forEach((response, s) => values.set(response, cuSeqlens[s + 1]! - response.length));
  return values;
}

/**
 * Values per token (index t speaks of token t) to values per row of the model (row t predicts token t + 1):
 * one place to the left, within each sequence; a sequence's last row gets 0.
 */
export function toRows(values: Float32Array, cuSeqlens: Uint32Array): Float32Array {
  const rows = new Float32Array(values.length);
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let t = cuSeqlens[s]!; t + 1 < cuSeqlens[s + 1]!; t++) rows[t] = values[t + 1]!;
  }
  return rows;
}

/** The inverse of toRows; a sequence's first token, which nothing predicts, gets 0. */
export function toTokens(rows: Float32Array, cuSeqlens: Uint32Array): Float32Array {
  const values = new Float32Array(rows.length);
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let t = cuSeqlens[s]!; t + 1 < cuSeqlens[s + 1]!; t++) values[t + 1] = rows[t]!;
  }
  return values;
}
