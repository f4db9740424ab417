import { attentionBackward, attentionForward, attentionPaged } from "../../kernels/attention.ts";
import { sequenceBounds } from "../../model/batch.ts";
import { elem, f32, kernelCase, u32, type KernelCase, type KernelShape } from "../kernel-case.ts";

/** Training: one causal sequence of all rows. Decoding: a row for each of as many sequences, over the paged cache. */
export function attentionCases(shape: KernelShape): KernelCase[] {
  return [forward(shape), backward(shape), paged(shape)];
}

const scaleOf = ({ config }: KernelShape) => 1 / Math.sqrt(config.headDim);

/** Pairs of a query and a key that it may see, over all heads. */
const pairs = ({ config, rows }: KernelShape) => (config.numHeads * rows * (rows + 1)) / 2;

const name = ({ config, rows }: KernelShape) =>
  `${rows} rows, ${config.numHeads}/${config.numKvHeads} heads of ${config.headDim}`;

function inputs({ config, storage, rows }: KernelShape) {
  const { numHeads, numKvHeads, headDim } = config;
  const { starts, ends } = sequenceBounds(Uint32Array.of(0, rows));
  return {
    q: f32(rows, numHeads, headDim),
    k: elem(storage, rows, numKvHeads, headDim),
    v: elem(storage, rows, numKvHeads, headDim),
    out: f32(rows, numHeads, headDim),
    lse: f32(rows, numHeads),
    starts: u32(starts),
    ends: u32(ends),
  };
}

function forward(shape: KernelShape): KernelCase {
  const { ends: _, ...tensors } = inputs(shape);
  return kernelCase({
    kernel: "attention_forward",
    shape: name(shape),
    storage: shape.storage,
    flops: 4 * pairs(shape) * shape.config.headDim,
    tensors,
    record: (rec, t) => attentionForward(rec, { ...t, scale: scaleOf(shape) }),
  });
}

function backward(shape: KernelShape): KernelCase {
  const { numHeads, numKvHeads, headDim } = shape.config;
  const { rows } = shape;
  return kernelCase({
    kernel: "attention_backward",
    shape: name(shape),
    storage: shape.storage,
    // The scores again, and the gradients of scores, queries, keys and values: five products.
    flops: 10 * pairs(shape) * headDim,
    tensors: {
      ...inputs(shape),
      dout: f32(rows, numHeads, headDim),
      delta: f32(rows, numHeads),
      dq: f32(rows, numHeads, headDim),
      dk: f32(rows, numKvHeads, headDim),
      dv: f32(rows, numKvHeads, headDim),
    },
    record: (rec, t) => attentionBackward(rec, { ...t, scale: scaleOf(shape) }),
  });
}

export const BLOCK_SIZE = 16;

function paged(shape: KernelShape): KernelCase {
  const { config, storage, rows, context } = shape;
  const { numHeads, numKvHeads, headDim } = config;
  const blocks = Math.ceil(context / BLOCK_SIZE);
  const positions = rows * blocks * BLOCK_SIZE;
  return kernelCase({
    kernel: "attention_paged",
    shape: `${rows} rows at ${context} positions, ${numHeads}/${numKvHeads} heads of ${headDim}`,
    storage,
    flops: 4 * rows * context * numHeads * headDim,
    tensors: {
      q: f32(rows, numHeads, headDim),
      kCache: elem(storage, positions, numKvHeads, headDim),
      vCache: elem(storage, positions, numKvHeads, headDim),
      tables: u32(
        Uint32Array.from({ length: rows * blocks }, (_, i) => i),
        [rows, blocks],
      ),
      slots: u32(Uint32Array.from({ length: rows }, (_, r) => r)),
      positions: u32(new Uint32Array(rows).fill(context - 1)),
      out: f32(rows, numHeads, headDim),
    },
    record: (rec, t) => attentionPaged(rec, { ...t, blockSize: BLOCK_SIZE, scale: scaleOf(shape) }),
  });
}
