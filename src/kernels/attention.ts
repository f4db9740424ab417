import log from "../../shaders/lib/log.wgsl" with { type: "text" };
import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import paged from "../../shaders/lib/attention-paged.wgsl" with { type: "text" };
import own from "../../shaders/lib/attention-own.wgsl" with { type: "text" };
import shared from "../../shaders/lib/attention-shared.wgsl" with { type: "text" };
import blocks from "../../shaders/lib/attention-blocks.wgsl" with { type: "text" };
import softmax from "../../shaders/lib/attention-softmax.wgsl" with { type: "text" };
import queries from "../../shaders/lib/attention-tile.wgsl" with { type: "text" };
import source from "../../shaders/attention.wgsl" with { type: "text" };
import type { Workspace } from "../gpu/workspace.ts";
import { defineKernel, type Kernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import {
  forwardOnLanes,
  hasLanes,
  sharesOf,
  splitOnLanes,
  walkOnLanes,
  type PackedAttention,
  type PagedAttention,
} from "./attention-lanes.ts";
import { backwardOnLanes, type AttentionGradients } from "./attention-lanes-backward.ts";
import { forwardOnMatrices, hasMatrices, splitOnMatrices, walkOnMatrices } from "./attention-matrix.ts";
import { backwardOnMatrices } from "./attention-matrix-backward.ts";
import { check, hasShape } from "./check.ts";

const GROUP = 32;
const LARGEST_HEAD = 256;
/** Above it, unrolled rows take too long to compile to be handed round in a subgroup. */
const LARGEST_SHARED_HEAD = 64;

/** How an invocation uses its registers (shaders/attention.wgsl): constants of the kernel. */
interface Tile {
  chunk: number;
  chunks: number;
  rows: number;
  heads: number;
  keys: number;
}

/**
 * Four rows to an invocation's tile, two or one, by head size: what is fastest on a software adapter, which falls off when
 * registers no longer fit its first-level cache. `four` is the largest head size of which it holds four.
 */
const tileSize = (headDim: number, four: number): number => (headDim <= four ? 4 : headDim <= 64 ? 2 : 1);

const queryTile = (headDim: number) => tileSize(headDim, 32);
/** Three numbers per element of a query instead of two. */
const queryTileBackward = (headDim: number) => tileSize(headDim, 24);
/** Four numbers per element of a key. */
const keyTile = (headDim: number) => tileSize(headDim, 16);

/** A tile of `queries`: as many heads of the group as fit and share it out evenly, then up to `maxRows` rows. */
function tileFor(headDim: number, group: number, queries: number, maxRows: number): Tile {
  const chunk = chunkOf(headDim / 2);
  const heads = Math.ceil(group / Math.ceil(group / queries));
  const rows = Math.min(maxRows, Math.floor(queries / heads));
  return { chunk, chunks: headDim / 2 / chunk, rows, heads, keys: keyTile(headDim) };
}

/** Pairs loaded at a time, a divisor of `pairs`. The fewer, the faster to compile; the more, the faster to run. */
function chunkOf(pairs: number): number {
  if (pairs <= 8) return pairs;
  const divisors = [1, 2, 3, 4].filter((n) => pairs % n === 0);
  return divisors.find((n) => n > 1 && pairs / n <= 8) ?? divisors.at(-1)!;
}

/** The tile of attentionPaged: heads of one row. */
export const pagedTile = (headDim: number, group: number): Tile => tileFor(headDim, group, queryTile(headDim), 1);

/** What shaders/lib/attention-tile.wgsl wants in front. */
export const tileConstants = ({ chunk, chunks, rows, heads }: Tile): string =>
  `const CHUNK = ${chunk}u; const CHUNKS = ${chunks}u; const SHARES = ${sharesOf(2 * chunk * chunks)}u; ` +
  `const ROWS = ${rows}u; const HEADS = ${heads}u;`;

const kernels = new Map<string, Kernel>();

function kernelFor(gpu: Workspace, tile: Tile): Kernel {
  const { chunk, chunks, keys } = tile;
  const rowsFrom = gpu.tier !== "baseline" && 2 * chunk * chunks <= LARGEST_SHARED_HEAD ? shared : own;
  const constants = `${tileConstants(tile)} const KEYS = ${keys}u;`;
  const key = rowsFrom + constants;
  let kernel = kernels.get(key);
  if (!kernel) {
    kernel = defineKernel({
      name: "attention",
      source,
      includes: [exp, log, index, blocks, softmax, constants, queries, paged, rowsFrom],
    });
    kernels.set(key, kernel);
  }
  return kernel;
}

interface Heads {
  rows: number;
  heads: number;
  headDim: number;
}

function queryShape(op: string, q: Tensor, tensors: Record<string, Tensor>): Heads {
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const ok = q.shape.length === 3 && headDim % 2 === 0 && headDim > 0 && headDim <= LARGEST_HEAD;
  check(ok, op, `q [T, H, D] with even D of at most ${LARGEST_HEAD}`, tensors);
  return { rows, heads, headDim };
}

/** Workgroups for every tile of queries of packed sequences. */
const queryGroups = (tile: Tile, rows: number, heads: number, kvHeads: number): [number, number] => [
  Math.ceil(rows / tile.rows / GROUP),
  kvHeads * Math.ceil(heads / kvHeads / tile.heads),
];

/**
 * Packed variable-length causal attention: out f32 [T, H, D] and lse f32 [T, H] from q f32 [T, H, D] and k, v elem
 * [T, G, D], H a multiple of G. `starts` u32 [T] is the first row of a row's own sequence. Overwrites out and lse. In the tier
 * "matrices" and with keys in bf16, subgroup matrices do it, here and in attentionPaged.
 */
export function attentionForward(rec: Recorder, attention: PackedAttention): void {
  const { q, k, v, starts, out, lse } = attention;
  const { rows, heads, headDim } = queryShape("attention_forward", q, { q, k, v, out });
  const kvHeads = k.shape[1] ?? 0;
  const ok =
    heads % kvHeads === 0 &&
    hasShape(k, rows, kvHeads, headDim) &&
    hasShape(v, rows, kvHeads, headDim) &&
    hasShape(out, rows, heads, headDim) &&
    hasShape(starts, rows) &&
    hasShape(lse, rows, heads);
  check(ok, "attention_forward", "q, out [T, H, D], k, v [T, G, D], starts [T], lse [T, H]", {
    q,
    k,
    v,
    starts,
    out,
    lse,
  });
  if (rows === 0) return;
  const forward = hasMatrices(rec.gpu, k)
    ? forwardOnMatrices
    : hasLanes(rec.gpu, headDim)
      ? forwardOnLanes
      : forwardInRows;
  forward(rec, attention);
}

/** attentionForward with an invocation to a row: on software adapters, and for larger heads than lanes take. */
export function forwardInRows(rec: Recorder, { q, k, v, starts, out, lse, scale }: PackedAttention): void {
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const kvHeads = k.shape[1]!;
  const tile = tileFor(headDim, heads / kvHeads, queryTile(headDim), Infinity);
  rec.dispatch(kernelFor(rec.gpu, tile), "attention_forward", {
    params: { rows, heads, kv_heads: kvHeads, scale, chunks: tile.chunks, tile: tile.rows * tile.heads },
    buffers: { q, k, v, starts, out, lse },
    workgroups: queryGroups(tile, rows, heads, kvHeads),
  });
}

/**
 * Attention of the engine: row r of q f32 [R, H, D] attends to positions 0 to positions[r] of its sequence, whose block
 * table is row slots[r] of tables u32 [S, maxBlocks], in kCache and vCache elem [numBlocks * blockSize, G, D], the blocks counted
 * from `firstBlock` on.
 * Overwrites out f32 [R, H, D]; bit for bit what attentionForward gives for the same keys and values.
 */
export function attentionPaged(rec: Recorder, attention: PagedAttention): void {
  const { q, kCache, vCache, tables, slots, positions, out, blockSize } = attention;
  const { rows, heads, headDim } = queryShape("attention_paged", q, { q, kCache, vCache, out });
  const [cacheRows = 0, kvHeads = 0] = kCache.shape;
  const ok =
    heads % kvHeads === 0 &&
    blockSize >= 1 &&
    tables.shape.length === 2 &&
    hasShape(kCache, cacheRows, kvHeads, headDim) &&
    hasShape(vCache, cacheRows, kvHeads, headDim) &&
    hasShape(out, rows, heads, headDim) &&
    hasShape(slots, rows) &&
    hasShape(positions, rows);
  check(ok, "attention_paged", "q, out [R, H, D], caches [N, G, D], slots, positions [R]", {
    q,
    kCache,
    vCache,
    out,
    slots,
    positions,
  });
  const ways = hasMatrices(rec.gpu, kCache)
    ? { walk: walkOnMatrices, split: splitOnMatrices }
    : hasLanes(rec.gpu, headDim)
      ? { walk: walkOnLanes, split: splitOnLanes }
      : null;
  if (!ways) return pagedInRows(rec, attention);
  // As many block tables as rows: every row has a sequence to itself.
  if (rows <= tables.shape[0]!) ways.split(rec, attention);
  else ways.walk(rec, attention);
}

/** attentionPaged in the same way. */
export function pagedInRows(rec: Recorder, { q, kCache, vCache, ...paging }: PagedAttention): void {
  const { tables, slots, positions, out, blockSize, firstBlock = 0, scale } = paging;
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const kvHeads = kCache.shape[1]!;
  const tile = pagedTile(headDim, heads / kvHeads);
  rec.dispatch(kernelFor(rec.gpu, tile), "attention_paged", {
    params: {
      rows,
      heads,
      kv_heads: kvHeads,
      scale,
      chunks: tile.chunks,
      tile: tile.heads,
      block_size: blockSize,
      max_blocks: tables.shape[1]!,
      first_block: firstBlock,
    },
    buffers: { q, k: kCache, v: vCache, tables, slots, positions, out },
    workgroups: [Math.ceil((rows * kvHeads * Math.ceil(heads / kvHeads / tile.heads)) / GROUP)],
  });
}

/**
 * Gradients of attentionForward, by recomputation from lse: dq f32 [T, H, D], dk and dv f32 [T, G, D], all overwritten.
 * `ends` u32 [T] is one past the last row of a row's own sequence, delta f32 [T, H] is scratch. In the tier "matrices" and with
 * keys in bf16, subgroup matrices do it; nothing asks for the same bits in two tiles.
 */
export function attentionBackward(rec: Recorder, { scale, ...tensors }: AttentionGradients): void {
  const { q, k, v, out, dout, lse, starts, ends, delta, dq, dk, dv } = tensors;
  const { rows, heads, headDim } = queryShape("attention_backward", q, tensors);
  const kvHeads = k.shape[1] ?? 0;
  const ok =
    heads % kvHeads === 0 &&
    [out, dout, dq].every((tensor) => hasShape(tensor, rows, heads, headDim)) &&
    [k, v, dk, dv].every((tensor) => hasShape(tensor, rows, kvHeads, headDim)) &&
    [lse, delta].every((tensor) => hasShape(tensor, rows, heads)) &&
    [starts, ends].every((tensor) => hasShape(tensor, rows));
  check(
    ok,
    "attention_backward",
    "q, out, dout, dq [T, H, D], k, v, dk, dv [T, G, D], lse, delta [T, H], starts, ends [T]",
    tensors,
  );
  if (backwardOnMatrices(rec, { ...tensors, scale })) return;
  (hasLanes(rec.gpu, headDim) ? backwardOnLanes : backwardInRows)(rec, { ...tensors, scale });
}

/** attentionBackward with an invocation to a row, as forwardInRows. */
export function backwardInRows(
  rec: Recorder,
  { q, k, v, out, dout, lse, starts, ends, delta, dq, dk, dv, scale }: AttentionGradients,
): void {
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const kvHeads = k.shape[1]!;
  const tile = tileFor(headDim, heads / kvHeads, queryTileBackward(headDim), Infinity);
  const kernel = kernelFor(rec.gpu, tile);
  const params = { rows, heads, kv_heads: kvHeads, scale, chunks: tile.chunks };
  rec.dispatch(kernel, "attention_delta", {
    params,
    buffers: { q: out, dout, delta },
    workgroups: [Math.ceil(rows / GROUP), heads],
  });
  rec.dispatch(kernel, "attention_dq", {
    params: { ...params, tile: tile.rows * tile.heads },
    buffers: { q, k, v, dout, saved_lse: lse, saved_delta: delta, starts, dq },
    workgroups: queryGroups(tile, rows, heads, kvHeads),
  });
  rec.dispatch(kernel, "attention_dkv", {
    params: { ...params, tile: tile.keys },
    buffers: { q, k, v, dout, saved_lse: lse, saved_delta: delta, ends, dk, dv },
    workgroups: [Math.ceil(rows / tile.keys / GROUP), kvHeads],
  });
}
