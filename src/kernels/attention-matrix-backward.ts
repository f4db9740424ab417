import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import shared from "../../shaders/lib/attention-matrix.wgsl" with { type: "text" };
import held from "../../shaders/lib/attention-matrix-held.wgsl" with { type: "text" };
import loaded from "../../shaders/lib/attention-matrix-loaded.wgsl" with { type: "text" };
import f16 from "../../shaders/lib/matrix-f16.wgsl" with { type: "text" };
import f32 from "../../shaders/lib/matrix-f32.wgsl" with { type: "text" };
import scaling from "../../shaders/lib/matrix-scale.wgsl" with { type: "text" };
import source from "../../shaders/attention-matrix-backward.wgsl" with { type: "text" };
import packSource from "../../shaders/attention-pack.wgsl" with { type: "text" };
import type { Workspace } from "../gpu/workspace.ts";
import { defineKernel, type Kernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Matrices } from "../gpu/tier.ts";
import { hasMatrices, subgroupsOf } from "./attention-matrix.ts";

/** What a workgroup keeps in registers: queries (for dq) or keys (for dk and dv). */
export type Own = "queries" | "keys";

/** How a workgroup of shaders/lib/attention-matrix.wgsl divides its work. */
export interface Tile {
  own: Own;
  /** Head size with its zeros. */
  head: number;
  /** Own rows of a block. */
  block: number;
  blocks: number;
  /** Subgroups of a block. */
  shares: number;
  /** Rows of the other side at a time. */
  other: number;
  /** Invocations. */
  threads: number;
  /** Whether registers hold the own rows; otherwise they are loaded for every tile of the other side. */
  isHeld: boolean;
}

/** What decides on tiles, besides the matrices and the head size. */
export interface TileLimits {
  subgroupMinSize: number;
  subgroupMaxSize: number;
  maxComputeInvocationsPerWorkgroup: number;
  maxComputeWorkgroupStorageSize: number;
  /** Invocations over which an operand is spread, if not all of a subgroup's. */
  operandLanes?: number;
}

/** Above it an invocation would keep too many results, unless two subgroups share them. */
const LARGEST_UNSHARED_HEAD = 64;
/** Registers that an invocation has for own rows and sums: more would leave too few for everything else. */
const MOST_REGISTERS = 128;
/** Workgroups that keep a large GPU busy; fewer take smaller tiles. */
const ENOUGH_GROUPS = 64;
/** AMD's matrices have every number of an operand twice in a subgroup of 32, four times in one of 64. */
const AMD_OPERAND_LANES = 16;
const BYTES_PER_WORD = 16;
/** Invocations of attention_largest's workgroups, of which there are at most so many, and rows of a head to one that packs. */
const LARGEST_LANES = 256;
const MOST_PARTIALS = 512;
const PACKED_ROWS = 8;

/** Words of an octet, and the exponent that largest scaled numbers get: 0 where nothing is scaled. */
const COMPONENTS = { f16: { text: f16, words: 1, top: 14 }, f32: { text: f32, words: 2, top: 0 } };

/** The largest of a matrix' three sizes: they are 8 or 16, so that it is a multiple of all. */
const sizeOf = ({ m, n, k }: Matrices): number => Math.max(m, n, k);

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

const ownRows = ({ block, blocks }: Tile): number => block * blocks;
const queriesOf = (tile: Tile): number => (tile.own === "queries" ? ownRows(tile) : tile.other);
const keysOf = (tile: Tile): number => (tile.own === "keys" ? ownRows(tile) : tile.other);

/** Parameters that bound the shaders' loops. */
const loopBounds = ({ n, k }: Matrices, tile: Tile) => ({
  query_rows: queriesOf(tile),
  key_rows: keysOf(tile),
  columns: tile.head / tile.shares / n,
  steps: tile.head / k,
});

/** Of a row: q and dout, or k and v. */
const SECTIONS = 2;

/** Registers that own rows and sums take in an invocation. */
function registers(
  matrices: Matrices,
  tile: Omit<Tile, "isHeld">,
  { subgroupMinSize, operandLanes = subgroupMinSize }: TileLimits,
): number {
  const perRegister = matrices.component === "f16" ? 2 : 1;
  const own = SECTIONS * (tile.head / perRegister);
  const sums = ((tile.own === "keys" ? 2 : 1) * tile.head) / tile.shares;
  return tile.block * (own / operandLanes + sums / subgroupMinSize);
}

/** Workgroup memory of a tile, as the shaders declare it. */
function tileBytes(matrices: Matrices, tile: Tile): number {
  const section = (tile.head / 8) * COMPONENTS[matrices.component].words;
  const [queries, keys] = [queriesOf(tile), keysOf(tile)];
  const staged = tile.other * (SECTIONS * section + 1);
  const areas = Math.max(2 * queries * (keys / 4 + 1), Math.max(queries, keys) * ((tile.shares * matrices.n) / 4 + 1));
  return BYTES_PER_WORD * (staged + areas) + 4 * keys;
}

/** The tiles for these matrices within these limits, largest first; none where not even the smallest fits. */
export function tilesFor(matrices: Matrices, headDim: number, own: Own, limits: TileLimits): Tile[] {
  const block = sizeOf(matrices);
  const isShared = headDim > LARGEST_UNSHARED_HEAD;
  // The same for all tiles, because kernels of different ones read the same packed rows.
  const head = roundUp(headDim, isShared ? 2 * block : block);
  const subgroups = subgroupsOf(limits);
  const threads = subgroups * limits.subgroupMaxSize;
  const tiles: Tile[] = [];
  for (const blocks of [4, 2, 1]) {
    for (const shares of isShared ? [2, 1] : [1]) {
      for (const other of [32, 16, 8].filter((rows) => rows % (block * shares) === 0)) {
        const tile = { own, head, block, blocks, shares, other, threads };
        const isHeld = registers(matrices, tile, limits) <= MOST_REGISTERS;
        tiles.push({ ...tile, isHeld });
      }
    }
  }
  const fits = (tile: Tile) =>
    tile.blocks * tile.shares <= subgroups && tileBytes(matrices, tile) <= limits.maxComputeWorkgroupStorageSize;
  return tiles.filter(fits);
}

/** The largest tile that makes enough workgroups of `rows` rows of `heads` heads. */
function tileOf(gpu: Workspace, { shape }: Tensor, own: Own): Tile | null {
  const [rows = 0, heads = 0, headDim = 0] = shape;
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = gpu.limits;
  const tiles = tilesFor(gpu.matrices!, headDim, own, {
    subgroupMinSize: gpu.info.subgroupMinSize,
    subgroupMaxSize: gpu.info.subgroupMaxSize,
    maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupStorageSize,
    ...(gpu.info.vendor === "amd" && { operandLanes: AMD_OPERAND_LANES }),
  });
  // Of as many own rows, the first reads the others in the largest steps.
  const enough = (tile: Tile) => Math.ceil(rows / ownRows(tile)) * heads >= ENOUGH_GROUPS;
  const [smallest] = tiles.filter(({ blocks }) => blocks === tiles.at(-1)!.blocks);
  return tiles.find(enough) ?? smallest ?? null;
}

const kernels = new Map<string, Kernel>();

/** The kernel for a tile of these matrices. */
export function matrixKernel(matrices: Matrices, tile: Tile): Kernel {
  const { text, top } = COMPONENTS[matrices.component];
  const integers = {
    M: matrices.m,
    N: matrices.n,
    K: matrices.k,
    HEAD: tile.head,
    SECTIONS,
    QUERIES: queriesOf(tile),
    KEYS: keysOf(tile),
    BLOCK: tile.block,
    BLOCKS: tile.blocks,
    SHARES: tile.shares,
    THREADS: tile.threads,
  };
  // The difference of two numbers below 2^30 HEAD, brought below 2^15; see shaders/attention-matrix-backward.wgsl.
  const gradientExponent = top && 16 + Math.ceil(Math.log2(tile.head));
  const constants =
    Object.entries(integers)
      .map(([name, value]) => `const ${name} = ${value}u;`)
      .join(" ") + ` const WEIGHT_TOP = ${top}; const GRADIENT_EXPONENT = ${gradientExponent};`;
  const ownRowsFrom = tile.isHeld ? held : loaded;
  const key = [matrices.component, tile.isHeld, constants].join(" ");
  let kernel = kernels.get(key);
  if (!kernel) {
    kernel = defineKernel({
      name: "attention-matrix-backward",
      source,
      includes: [constants, text, scaling, exp, shared, ownRowsFrom],
    });
    kernels.set(key, kernel);
  }
  return kernel;
}

const packs = {
  f16: defineKernel({ name: "attention-pack", source: packSource, includes: [f16, scaling, index] }),
  f32: defineKernel({ name: "attention-pack", source: packSource, includes: [f32, scaling, index] }),
};

/** The kernel that makes operands ready. */
export const packKernel = ({ component }: Matrices): Kernel => packs[component];

/** Tiles for both backward kernels, or null where matrices do not serve: the forward pass is then not on them either. */
function backwardTiles(gpu: Workspace, q: Tensor, k: Tensor): { dq: Tile; dkv: Tile } | null {
  if (!hasMatrices(gpu, k)) return null;
  const dq = tileOf(gpu, q, "queries");
  const dkv = tileOf(gpu, k, "keys");
  return dq && dkv && { dq, dkv };
}

interface Inputs {
  q: Tensor;
  k: Tensor;
  v: Tensor;
}

/** Packs q, k and v, with room for dout in the rows of `queries`, and for `queryRows` and `keyRows` in all, whose last are undefined. */
function pack(
  rec: Recorder,
  { q, k, v }: Inputs,
  { head, queryRows, keyRows }: { head: number; queryRows: number; keyRows: number },
) {
  const { gpu } = rec;
  const matrices = gpu.matrices!;
  const kernel = packKernel(matrices);
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const kvHeads = k.shape[1]!;
  const sectionWords = (head / 8) * 4 * COMPONENTS[matrices.component].words;
  const partials = Math.min(MOST_PARTIALS, Math.ceil(q.size / LARGEST_LANES));
  const params = { rows, heads, kv_heads: kvHeads, pairs: headDim / 2, section_pairs: head / 2, partials };
  const partial = gpu.empty([partials, 4], "u32");
  const exponents = gpu.empty([3], "i32");
  const queries = gpu.empty([queryRows, heads, SECTIONS * sectionWords], "u32");
  const keys = gpu.empty([keyRows, kvHeads, SECTIONS * sectionWords], "u32");
  rec.dispatch(kernel, "attention_largest", {
    params,
    buffers: { all_q: q, all_k: k, all_v: v, partial },
    workgroups: [partials],
  });
  rec.dispatch(kernel, "attention_exponents", {
    params,
    buffers: { saved_partial: partial, exponents },
    workgroups: [1],
  });
  rec.dispatch(kernel, "attention_pack_queries", {
    params,
    buffers: { all_q: q, saved_exponents: exponents, queries },
    workgroups: [Math.ceil((rows * heads) / PACKED_ROWS)],
  });
  rec.dispatch(kernel, "attention_pack_keys", {
    params,
    buffers: { all_k: k, all_v: v, saved_exponents: exponents, keys },
    workgroups: [Math.ceil((rows * kvHeads) / PACKED_ROWS)],
  });
  gpu.release(partial);
  return { params, exponents, queries, keys };
}

/** Records attentionBackward on subgroup matrices; false, and nothing recorded, where they do not serve these shapes. */
export function backwardOnMatrices(
  rec: Recorder,
  {
    out,
    dout,
    lse,
    starts,
    ends,
    dq,
    dk,
    dv,
    scale,
    ...inputs
  }: Inputs & {
    out: Tensor;
    dout: Tensor;
    lse: Tensor;
    starts: Tensor;
    ends: Tensor;
    dq: Tensor;
    dk: Tensor;
    dv: Tensor;
    scale: number;
  },
): boolean {
  const { gpu } = rec;
  const tiles = backwardTiles(gpu, inputs.q, inputs.k);
  if (!tiles) return false;
  const matrices = gpu.matrices!;
  const [rows = 0, heads = 0] = inputs.q.shape;
  if (rows === 0) return true;
  const { dq: queryTile, dkv: keyTile } = tiles;
  const { params, queries, keys, exponents } = pack(rec, inputs, {
    head: queryTile.head,
    queryRows: roundUp(rows, ownRows(queryTile)),
    keyRows: roundUp(rows, ownRows(keyTile)),
  });
  const records = gpu.empty([rows, heads, 4], "u32");
  rec.dispatch(packKernel(matrices), "attention_pack_gradients", {
    params,
    buffers: { dout, saved_out: out, saved_lse: lse, starts, saved_exponents: exponents, queries, records },
    workgroups: [Math.ceil((rows * heads) / PACKED_ROWS)],
  });
  const operands = { queries, keys, exponents, records };
  rec.dispatch(matrixKernel(matrices, queryTile), "attention_dq", {
    params: { ...params, ...loopBounds(matrices, queryTile), scale },
    buffers: { ...operands, starts, dq },
    workgroups: [Math.ceil(rows / ownRows(queryTile)), heads],
  });
  rec.dispatch(matrixKernel(matrices, keyTile), "attention_dkv", {
    params: { ...params, ...loopBounds(matrices, keyTile), scale },
    buffers: { ...operands, starts, ends, dk, dv },
    workgroups: [Math.ceil(rows / ownRows(keyTile)), inputs.k.shape[1]!],
  });
  gpu.release(queries, keys, exponents, records);
  return true;
}
