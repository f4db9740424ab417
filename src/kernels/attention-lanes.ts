import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import log from "../../shaders/lib/log.wgsl" with { type: "text" };
import lanes from "../../shaders/lib/attention-lanes.wgsl" with { type: "text" };
import blocks from "../../shaders/lib/attention-blocks.wgsl" with { type: "text" };
import softmax from "../../shaders/lib/attention-softmax.wgsl" with { type: "text" };
import inSubgroup from "../../shaders/lib/attention-exchange-subgroup.wgsl" with { type: "text" };
import inWorkgroup from "../../shaders/lib/attention-exchange-workgroup.wgsl" with { type: "text" };
import octetsBf16 from "../../shaders/lib/attention-octets-bf16.wgsl" with { type: "text" };
import octetsF32 from "../../shaders/lib/attention-octets-f32.wgsl" with { type: "text" };
import pairs from "../../shaders/lib/attention-octets-pairs.wgsl" with { type: "text" };
import source from "../../shaders/attention-lanes.wgsl" with { type: "text" };
import type { Workspace } from "../gpu/workspace.ts";
import { defineKernel, type Kernel } from "../gpu/kernel.ts";
import { hasManyRegisters } from "../gpu/registers.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { Tensor } from "../gpu/tensor.ts";

/** Keys of a block and of a step, as shaders/lib/attention-blocks.wgsl and -softmax.wgsl have them. */
export const BLOCK = 128;
const STEP = 8;
/** Bounds of loops that are not to be unrolled: steps of a block, and turns of a step. */
export const loopsOf = ({ taken }: Shape) => ({ steps: BLOCK / STEP, turns: STEP / taken });
/** Partials of decoding at once: more rows take turns in the same memory. */
const PARTIAL_BYTES = 2 ** 26;
const BYTES_PER_QUAD = 16;

/** Heads above it would take more than the eight invocations that every subgroup has. */
const LARGEST_HEAD = 128;

/** Whether these kernels serve: not for software adapters, which have few invocations and pay for each exchange between them. */
export const hasLanes = ({ info }: Workspace, headDim: number): boolean =>
  !info.isFallbackAdapter && headDim <= LARGEST_HEAD;

/** Shares that a score is summed in, 16 numbers of the head to each (shaders/attention.wgsl). */
export const sharesOf = (headDim: number): number => 2 ** Math.ceil(Math.log2(Math.ceil(headDim / 16)));

/** How shaders/attention-lanes.wgsl shares its work out. */
interface Shape {
  /** Invocations of a row. */
  lanes: number;
  /** Queries to an invocation, each with three times a share in registers. */
  queries: number;
  /** Rows of a step on their way to it at a time. */
  taken: number;
  threads: number;
}

export const shapeOf = (gpu: Workspace, headDim: number, mostQueries: number): Shape => {
  const [queries, taken] = hasManyRegisters(gpu.info) ? [2, 4] : [1, 1];
  return {
    lanes: sharesOf(headDim),
    queries: Math.min(queries, mostQueries),
    taken,
    threads: hasSubgroups(gpu) ? 128 : 64,
  };
};

/** A subgroup has all lanes of a row: the tiers with subgroups have them of eight invocations or more. */
const hasSubgroups = ({ tier }: Workspace): boolean => tier !== "baseline";

/** Keys or values as lanesKernel's kernel reads them: whole octets in bf16 as words. */
export const asRead = (tensor: Tensor): Tensor =>
  tensor.dtype === "bf16" && tensor.shape[2]! % 8 === 0
    ? new Tensor(tensor.allocation, [tensor.size / 2], "u32", tensor.offset)
    : tensor;

/** Whether a row ends within an octet, so that it is loaded pair by pair. */
export const isOdd = (headDim: number): boolean => headDim % 8 !== 0;

const kernels = new Map<string, Kernel>();

/** The kernel of a text for heads like those of k; `more` are texts of its own. */
export function lanesKernel(
  gpu: Workspace,
  k: Tensor,
  { lanes: count, queries, taken, threads }: Shape,
  { name, source: text, more = [], page = STEP }: { name: string; source: string; more?: string[]; page?: number },
): Kernel {
  const headDim = k.shape[2]!;
  const constants =
    `const HEAD_PAIRS = ${headDim / 2}u; const LANES = ${count}u; const QUERIES = ${queries}u; ` +
    `const TAKEN = ${taken}u; const THREADS = ${threads}u; const PAGE = ${page}u;`;
  const exchange = hasSubgroups(gpu) ? inSubgroup : inWorkgroup;
  const octets = isOdd(headDim) ? pairs : k.dtype === "bf16" ? octetsBf16 : octetsF32;
  const key = name + constants + exchange + octets;
  let kernel = kernels.get(key);
  if (!kernel) {
    const includes = [constants, exp, log, index, blocks, softmax, lanes, octets, ...more, exchange];
    kernel = defineKernel({ name, source: text, includes });
    kernels.set(key, kernel);
  }
  return kernel;
}

const kernelFor = (gpu: Workspace, k: Tensor, shape: Shape, page?: number): Kernel =>
  lanesKernel(gpu, k, shape, { name: "attention-lanes", source, ...(page && { page }) });

/** Workgroups that have all queries, and key heads. */
export const tileGroups = ({ lanes: count, queries, threads }: Shape, rows: number, heads: number, kvHeads: number) =>
  [Math.ceil((rows * (heads / kvHeads)) / ((threads / count) * queries)), kvHeads] as const;

/** What attentionForward works on. */
export interface PackedAttention {
  q: Tensor;
  k: Tensor;
  v: Tensor;
  starts: Tensor;
  out: Tensor;
  lse: Tensor;
  scale: number;
}

/** attentionForward (kernels/attention.ts, which checks the shapes) with a row spread over the lanes of a GPU. */
export function forwardOnLanes(rec: Recorder, { q, k, v, starts, out, lse, scale }: PackedAttention): void {
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const kvHeads = k.shape[1]!;
  const shape = shapeOf(rec.gpu, headDim, Infinity);
  rec.dispatch(kernelFor(rec.gpu, k, shape), "attention_forward", {
    params: { rows, heads, kv_heads: kvHeads, scale, ...loopsOf(shape) },
    buffers: { all_q: q, all_k: asRead(k), all_v: asRead(v), starts, out, lse },
    workgroups: tileGroups(shape, rows, heads, kvHeads),
  });
}

/** What attentionPaged works on. */
export interface PagedAttention {
  q: Tensor;
  kCache: Tensor;
  vCache: Tensor;
  tables: Tensor;
  slots: Tensor;
  positions: Tensor;
  out: Tensor;
  blockSize: number;
  firstBlock?: number;
  scale: number;
}

/** attentionPaged (kernels/attention.ts, which checks the shapes), walking through a tile's blocks: for rows that share sequences. */
export function walkOnLanes(rec: Recorder, { q, kCache, vCache, ...paging }: PagedAttention): void {
  const { tables, slots, positions, out, blockSize, firstBlock = 0, scale } = paging;
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const kvHeads = kCache.shape[1]!;
  const shape = shapeOf(rec.gpu, headDim, Infinity);
  rec.dispatch(kernelFor(rec.gpu, kCache, shape, blockSize), "attention_paged", {
    params: {
      rows,
      heads,
      kv_heads: kvHeads,
      scale,
      ...loopsOf(shape),
      max_blocks: tables.shape[1]!,
      first_block: firstBlock,
    },
    buffers: { all_q: q, all_k: asRead(kCache), all_v: asRead(vCache), tables, slots, positions, out },
    workgroups: tileGroups(shape, rows, heads, kvHeads),
  });
}

/** Rows whose blocks are computed side by side, and where their partials go: (m, l) and o of each block, f32. */
export interface Part {
  params: Record<
    "rows" | "heads" | "kv_heads" | "scale" | "max_blocks" | "first_block" | "blocks" | "first_row",
    number
  >;
  count: number;
  /** [at least count, H, blocks, 2] */
  softmaxes: Tensor;
  /** [at least count, H, blocks, the head size and zeros] */
  values: Tensor;
}

/** attentionPaged with all blocks of a row side by side, by `partial`, and then joined: for decoding, a row to a sequence. */
export function splitBlocks(rec: Recorder, attention: PagedAttention, partial: typeof partialOnLanes): void {
  const { q, kCache, tables, positions, out, blockSize, firstBlock = 0, scale } = attention;
  const { gpu } = rec;
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const kvHeads = kCache.shape[1]!;
  const maxBlocks = tables.shape[1]!;
  const shape = shapeOf(gpu, headDim, heads / kvHeads);
  const blocks = Math.ceil((maxBlocks * blockSize) / BLOCK);
  const quads = 2 * Math.ceil(Math.ceil(headDim / 8) / shape.lanes) * shape.lanes;
  const partRows = Math.min(rows, Math.max(1, Math.floor(PARTIAL_BYTES / (heads * blocks * quads * BYTES_PER_QUAD))));
  const values = gpu.empty([partRows, heads, blocks, 4 * quads], "f32");
  const softmaxes = gpu.empty([partRows, heads, blocks, 2], "f32");
  for (let first = 0; first < rows; first += partRows) {
    const count = Math.min(partRows, rows - first);
    const params = {
      rows,
      heads,
      kv_heads: kvHeads,
      scale,
      max_blocks: maxBlocks,
      first_block: firstBlock,
      blocks,
      first_row: first,
    };
    partial(rec, attention, { params, count, softmaxes, values });
    rec.dispatch(kernelFor(gpu, kCache, shape, blockSize), "attention_merge", {
      params: { ...params, part_rows: count },
      buffers: { positions, saved_softmax: softmaxes, saved_values: values, out },
      workgroups: [Math.ceil((count * heads * Math.ceil(headDim / 4)) / shape.threads)],
    });
  }
  gpu.release(values, softmaxes);
}

/** A part's blocks, each on its own. */
function partialOnLanes(
  rec: Recorder,
  { q, kCache, vCache, ...paging }: PagedAttention,
  { params, count, softmaxes, values }: Part,
): void {
  const { tables, slots, positions, blockSize } = paging;
  const [, heads = 0, headDim = 0] = q.shape;
  const kvHeads = kCache.shape[1]!;
  const shape = shapeOf(rec.gpu, headDim, heads / kvHeads);
  const tiles = Math.ceil(heads / kvHeads / shape.queries);
  rec.dispatch(kernelFor(rec.gpu, kCache, shape, blockSize), "attention_partial", {
    params: { ...params, ...loopsOf(shape), part_rows: count },
    buffers: {
      all_q: q,
      all_k: asRead(kCache),
      all_v: asRead(vCache),
      tables,
      slots,
      positions,
      partial_softmax: softmaxes,
      partial_values: values,
    },
    workgroups: [Math.ceil((count * kvHeads * params.blocks * tiles) / (shape.threads / shape.lanes))],
  });
}

/** Blocks side by side: for decoding, a row to a sequence. */
export const splitOnLanes = (rec: Recorder, attention: PagedAttention): void =>
  splitBlocks(rec, attention, partialOnLanes);
