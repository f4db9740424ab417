import blocks from "../../shaders/lib/attention-blocks.wgsl" with { type: "text" };
import block from "../../shaders/lib/attention-matrix-block.wgsl" with { type: "text" };
import walk from "../../shaders/lib/attention-matrix-walk.wgsl" with { type: "text" };
import words from "../../shaders/lib/attention-words.wgsl" with { type: "text" };
import pairs from "../../shaders/lib/attention-words-pairs.wgsl" with { type: "text" };
import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import log from "../../shaders/lib/log.wgsl" with { type: "text" };
import f16 from "../../shaders/lib/matrix-f16.wgsl" with { type: "text" };
import f32 from "../../shaders/lib/matrix-f32.wgsl" with { type: "text" };
import scaling from "../../shaders/lib/matrix-scale.wgsl" with { type: "text" };
import packedSource from "../../shaders/attention-matrix.wgsl" with { type: "text" };
import pagedSource from "../../shaders/attention-matrix-paged.wgsl" with { type: "text" };
import type { Workspace } from "../gpu/workspace.ts";
import { defineKernel, type Kernel } from "../gpu/kernel.ts";
import { hasManyRegisters } from "../gpu/registers.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Matrices } from "../gpu/tier.ts";
import {
  asRead,
  BLOCK,
  isOdd,
  splitBlocks,
  type PackedAttention,
  type PagedAttention,
  type Part,
} from "./attention-lanes.ts";

/** How a workgroup of shaders/lib/attention-matrix-block.wgsl divides its work. */
export interface Tile {
  /** Head size with its zeros. */
  head: number;
  /** Queries of a strip. */
  strip: number;
  strips: number;
  /** Subgroups of a strip. */
  shares: number;
  /** Keys at a time. */
  keys: number;
  /** Invocations. */
  threads: number;
}

/** What decides on tiles, besides the matrices and the head size. */
export interface TileLimits {
  subgroupMaxSize: number;
  maxComputeInvocationsPerWorkgroup: number;
  maxComputeWorkgroupStorageSize: number;
}

const LARGEST_HEAD = 128;
/** Workgroups that keep a large GPU busy; fewer take smaller tiles. */
const ENOUGH_GROUPS = 64;
/** Of a workgroup. RDNA3.5 has 256 registers for each of so many invocations, 128 for each of twice as many. */
const MOST_SUBGROUPS = 8;
const MOST_INVOCATIONS = 256;
const BYTES_PER_WORD = 16;
/** Invocations of a row, and how many rows of queries and of keys one has in registers at a time. */
const LANES = 8;
const MOST_QUERIES = 2;
const MOST_KEYS = 4;

/** Words of an octet, and the exponent that weights of 1 get: 0 where nothing is scaled. */
const COMPONENTS = { f16: { text: f16, words: 1, top: 14 }, f32: { text: f32, words: 2, top: 0 } };

const queriesOf = ({ strip, strips }: Tile): number => strip * strips;

/** Workgroup memory of a tile, as the shader declares it. */
function tileBytes({ component }: Matrices, tile: Tile): number {
  const { words: perOctet } = COMPONENTS[component];
  const row = (tile.head / 8) * perOctet + 1;
  const area = queriesOf(tile) * Math.max(BLOCK / 4 + 1, (BLOCK / 8) * perOctet + 1, row, tile.head / 4 + 1);
  return BYTES_PER_WORD * (area + tile.keys * row) + 8 * BLOCK;
}

/** Subgroups of a workgroup, whether or not all of them multiply: what one loads lies in its registers meanwhile. */
export function subgroupsOf({
  subgroupMaxSize,
  maxComputeInvocationsPerWorkgroup,
}: Pick<TileLimits, "subgroupMaxSize" | "maxComputeInvocationsPerWorkgroup">): number {
  const invocations = Math.min(MOST_INVOCATIONS, maxComputeInvocationsPerWorkgroup);
  return Math.min(MOST_SUBGROUPS, Math.floor(invocations / subgroupMaxSize));
}

/** The tiles for these matrices within these limits, most queries first and of as many most keys; none where not even the smallest fits. */
export function tilesFor(matrices: Matrices, headDim: number, limits: TileLimits): Tile[] {
  const { m, n, k } = matrices;
  const strip = Math.max(m, n, k); // 8 or 16, as all are: a multiple of each
  const head = strip * Math.ceil(headDim / strip);
  const subgroups = subgroupsOf(limits);
  const threads = subgroups * limits.subgroupMaxSize;
  const rowsAtOnce = threads / LANES;
  const tiles: Tile[] = [];
  for (const strips of [4, 2, 1]) {
    // Only decoding, with one strip, waits for memory alone: it loads what it can at once.
    for (const keys of strips > 1 ? [32, 16] : [128, 64, 32, 16]) {
      const fit = (shares: number) =>
        shares * strips <= subgroups && head % (shares * n) === 0 && keys % (shares * n) === 0;
      const shares = [8, 4, 2, 1].find(fit);
      if (!shares) continue;
      const tile = { head, strip, strips, shares, keys, threads };
      const isHeld = queriesOf(tile) <= MOST_QUERIES * rowsAtOnce && keys <= Math.max(16, MOST_KEYS * rowsAtOnce);
      const fits = tileBytes(matrices, tile) <= limits.maxComputeWorkgroupStorageSize;
      if (fits && isHeld) tiles.push(tile);
    }
  }
  return tiles;
}

const tilesOf = ({ matrices, info, limits }: Workspace, headDim: number): Tile[] =>
  tilesFor(matrices!, headDim, {
    subgroupMaxSize: info.subgroupMaxSize,
    maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
  });

/**
 * Whether these kernels serve, for forward passes, decoding and gradients alike: keys in bf16, on the tier's matrices, where invocations
 * have the registers for them.
 */
export const hasMatrices = (gpu: Workspace, { dtype, shape }: Tensor): boolean =>
  gpu.matrices !== null &&
  hasManyRegisters(gpu.info) &&
  dtype === "bf16" &&
  shape[2]! <= LARGEST_HEAD &&
  tilesOf(gpu, shape[2]!).length > 0;

const kernels = new Map<string, Kernel>();

/** The kernel for a tile of these matrices: of packed sequences, or of a cache whose blocks have `page` rows. */
export function matrixKernel(matrices: Matrices, tile: Tile, headDim: number, page: number | null): Kernel {
  const { text, top } = COMPONENTS[matrices.component];
  const integers = {
    M: matrices.m,
    N: matrices.n,
    K: matrices.k,
    HEAD: tile.head,
    HEAD_PAIRS: headDim / 2,
    STRIP: tile.strip,
    STRIPS: tile.strips,
    SHARES: tile.shares,
    KEYS: tile.keys,
    THREADS: tile.threads,
    ...(page && { PAGE: page }),
  };
  const constants =
    Object.entries(integers)
      .map(([name, value]) => `const ${name} = ${value}u;`)
      .join(" ") + ` const WEIGHT_TOP = ${top};`;
  const key = matrices.component + constants;
  let kernel = kernels.get(key);
  if (!kernel) {
    kernel = defineKernel({
      name: "attention-matrix",
      source: page ? pagedSource : packedSource,
      includes: [constants, text, scaling, exp, log, blocks, isOdd(headDim) ? pairs : words, block, walk],
    });
    kernels.set(key, kernel);
  }
  return kernel;
}

/** The largest tile that makes enough workgroups. */
function walkTile(gpu: Workspace, { shape }: Tensor, kvHeads: number): Tile {
  const [rows = 0, heads = 0, headDim = 0] = shape;
  const tiles = tilesOf(gpu, headDim);
  const enough = (tile: Tile) => Math.ceil((rows * heads) / kvHeads / queriesOf(tile)) * kvHeads >= ENOUGH_GROUPS;
  return tiles.find(enough) ?? tiles.find(({ strips }) => strips === tiles.at(-1)!.strips)!;
}

/** The smallest tile that a key head's queries of one row fit in. */
function decodeTile(gpu: Workspace, headDim: number, group: number): Tile {
  const tiles = tilesOf(gpu, headDim);
  const { strips } = tiles.findLast((tile) => queriesOf(tile) >= group) ?? tiles[0]!;
  return tiles.find((tile) => tile.strips === strips)!;
}

/** Parameters that bound the shader's loops. */
const loopBounds = ({ keys, shares }: Tile) => ({ share_keys: keys / shares, tile_keys: keys });

const walkGroups = (tile: Tile, rows: number, heads: number, kvHeads: number) =>
  [Math.ceil((rows * heads) / kvHeads / queriesOf(tile)), kvHeads] as const;

/** attentionForward (kernels/attention.ts, which checks the shapes) on subgroup matrices, where hasMatrices. */
export function forwardOnMatrices(rec: Recorder, { q, k, v, starts, out, lse, scale }: PackedAttention): void {
  const { gpu } = rec;
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const kvHeads = k.shape[1]!;
  const tile = walkTile(gpu, q, kvHeads);
  rec.dispatch(matrixKernel(gpu.matrices!, tile, headDim, null), "attention_forward", {
    params: { rows, heads, kv_heads: kvHeads, scale, ...loopBounds(tile) },
    buffers: { all_q: q, all_k: asRead(k), all_v: asRead(v), starts, out, lse },
    workgroups: walkGroups(tile, rows, heads, kvHeads),
  });
}

/** attentionPaged in the same way, walking through a tile's blocks: for rows that share sequences. */
export function walkOnMatrices(rec: Recorder, { q, kCache, vCache, ...paging }: PagedAttention): void {
  const { gpu } = rec;
  const { tables, slots, positions, out, blockSize, firstBlock = 0, scale } = paging;
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const kvHeads = kCache.shape[1]!;
  const tile = walkTile(gpu, q, kvHeads);
  rec.dispatch(matrixKernel(gpu.matrices!, tile, headDim, blockSize), "attention_paged", {
    params: {
      rows,
      heads,
      kv_heads: kvHeads,
      scale,
      ...loopBounds(tile),
      max_blocks: tables.shape[1]!,
      first_block: firstBlock,
    },
    buffers: { all_q: q, all_k: asRead(kCache), all_v: asRead(vCache), tables, slots, positions, out },
    workgroups: walkGroups(tile, rows, heads, kvHeads),
  });
}

/** A part's blocks, each on its own. */
function partialOnMatrices(
  rec: Recorder,
  { q, kCache, vCache, ...paging }: PagedAttention,
  { params, count, softmaxes, values }: Part,
): void {
  const { gpu } = rec;
  const { tables, slots, positions, blockSize } = paging;
  const [, heads = 0, headDim = 0] = q.shape;
  const kvHeads = kCache.shape[1]!;
  const tile = decodeTile(gpu, headDim, heads / kvHeads);
  const { blocks: most } = params;
  rec.dispatch(matrixKernel(gpu.matrices!, tile, headDim, blockSize), "attention_partial", {
    params: { ...params, ...loopBounds(tile), value_quads: values.shape[3]! / 4 },
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
    workgroups: [most, kvHeads * Math.ceil(heads / kvHeads / queriesOf(tile)), count],
  });
}

/** Blocks side by side: for decoding, a row to a sequence. */
export const splitOnMatrices = (rec: Recorder, attention: PagedAttention): void =>
  splitBlocks(rec, attention, partialOnMatrices);
