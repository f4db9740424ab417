import { embeddingBackward, embeddingForward, linkOccurrences } from "../../kernels/embedding.ts";
import { kvCacheWrite, kvPack } from "../../kernels/kv-cache.ts";
import { rmsnormBackward, rmsnormForward } from "../../kernels/rmsnorm.ts";
import { ropeBackward, ropeForward } from "../../kernels/rope.ts";
import { softmaxForward } from "../../kernels/softmax.ts";
import { swigluBackward, swigluForward } from "../../kernels/swiglu.ts";
import { elem, f32, kernelCase, u32, type KernelCase, type KernelShape } from "../kernel-case.ts";
import { BLOCK_SIZE } from "./attention.ts";

const countTo = (n: number) => Uint32Array.from({ length: n }, (_, i) => i);

/** Kernels that go through rows once: memory is what they wait for. */
export const rowCases = (shape: KernelShape): KernelCase[] => [
  ...rmsnormCases(shape),
  ...ropeCases(shape),
  ...swigluCases(shape),
  ...embeddingCases(shape),
  ...kvCacheCases(shape),
  softmaxCase(shape),
];

function rmsnormCases({ config, storage, rows }: KernelShape): KernelCase[] {
  const { hiddenSize: C, rmsNormEps: eps } = config;
  const shape = `${rows} x ${C}`;
  const input = { x: f32(rows, C), weight: elem(storage, C), rstd: f32(rows) };
  return [
    kernelCase({
      kernel: "rmsnorm_forward",
      shape,
      storage,
      tensors: { ...input, y: f32(rows, C) },
      record: (rec, t) => rmsnormForward(rec, { ...t, eps }),
    }),
    kernelCase({
      kernel: "rmsnorm_backward",
      shape,
      storage,
      bytes: 4 * 4 * rows * C, // dx is added to
      tensors: { ...input, dy: f32(rows, C), dx: f32(rows, C), dweight: f32(C) },
      record: (rec, t) => rmsnormBackward(rec, { ...t, accumulate: true }),
    }),
  ];
}

function ropeCases({ config, rows }: KernelShape): KernelCase[] {
  const { numHeads, numKvHeads, headDim } = config;
  const rotated = rows * (numHeads + numKvHeads) * headDim;
  const tensors = {
    q: f32(rows, numHeads, headDim),
    k: f32(rows, numKvHeads, headDim),
    positions: u32(countTo(rows)),
    table: f32(rows, headDim),
  };
  const cost = { shape: `${rows} x ${numHeads + numKvHeads} x ${headDim}`, bytes: 8 * rotated, tensors };
  return [
    kernelCase({ kernel: "rope_forward", ...cost, record: ropeForward }),
    kernelCase({
      kernel: "rope_backward",
      ...cost,
      record: (rec, { q, k, positions, table }) => ropeBackward(rec, { dq: q, dk: k, positions, table }),
    }),
  ];
}

function swigluCases({ config, storage, rows }: KernelShape): KernelCase[] {
  const I = config.intermediateSize;
  const shape = `${rows} x ${I}`;
  const input = { gate: elem(storage, rows, I), up: elem(storage, rows, I) };
  return [
    kernelCase({
      kernel: "swiglu_forward",
      shape,
      tensors: { ...input, y: f32(rows, I) },
      record: swigluForward,
    }),
    kernelCase({
      kernel: "swiglu_backward",
      shape,
      tensors: { ...input, dy: f32(rows, I), dgate: f32(rows, I), dup: f32(rows, I) },
      record: swigluBackward,
    }),
  ];
}

function embeddingCases({ config, storage, rows }: KernelShape): KernelCase[] {
  const { hiddenSize: C, vocabSize: V } = config;
  const shape = `${rows} of ${V} x ${C}`;
  // Far apart, as tokens of a text are.
  const ids = Uint32Array.from({ length: rows }, (_, i) => (i * 7919) % V);
  const width = storage === "bf16" ? 2 : 4;
  return [
    kernelCase({
      kernel: "embedding_forward",
      shape,
      storage,
      bytes: rows * C * (4 + width),
      tensors: { ids: u32(ids), weight: elem(storage, V, C), out: f32(rows, C) },
      record: embeddingForward,
    }),
    kernelCase({
      kernel: "embedding_backward",
      shape,
      bytes: 12 * rows * C,
      tensors: { ids: u32(ids), links: u32(linkOccurrences(ids)), dout: f32(rows, C), dweight: f32(V, C) },
      record: embeddingBackward,
    }),
  ];
}

function kvCacheCases({ config, storage, rows }: KernelShape): KernelCase[] {
  const { numKvHeads, headDim } = config;
  const shape = `${rows} x ${numKvHeads} x ${headDim}`;
  const input = { k: f32(rows, numKvHeads, headDim), v: f32(rows, numKvHeads, headDim) };
  const blocks = Math.ceil(rows / BLOCK_SIZE);
  const cache = elem(storage, blocks * BLOCK_SIZE, numKvHeads, headDim);
  return [
    kernelCase({
      kernel: "kv_pack",
      shape,
      storage,
      tensors: {
        ...input,
        kPacked: elem(storage, rows, numKvHeads, headDim),
        vPacked: elem(storage, rows, numKvHeads, headDim),
      },
      record: kvPack,
    }),
    kernelCase({
      kernel: "kv_cache_write",
      shape,
      storage,
      tensors: {
        ...input,
        positions: u32(countTo(rows)),
        slots: u32(new Uint32Array(rows)),
        tables: u32(countTo(blocks), [1, blocks]),
        kCache: cache,
        vCache: cache,
      },
      record: (rec, t) => kvCacheWrite(rec, { ...t, blockSize: BLOCK_SIZE }),
    }),
  ];
}

/** No part of a model: what other libraries are compared by (bench/peers). */
function softmaxCase({ rows }: KernelShape): KernelCase {
  const C = 1024;
  return kernelCase({
    kernel: "softmax_forward",
    shape: `${rows} x ${C}`,
    tensors: { x: f32(rows, C), y: f32(rows, C) },
    record: softmaxForward,
  });
}
