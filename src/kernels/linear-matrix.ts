import forward from "../../shaders/lib/linear-matrix-forward.wgsl" with { type: "text" };
import backwardInput from "../../shaders/lib/linear-matrix-input.wgsl" with { type: "text" };
import logits from "../../shaders/lib/linear-matrix-logits.wgsl" with { type: "text" };
import alongRows from "../../shaders/lib/linear-matrix-rows.wgsl" with { type: "text" };
import unscaled from "../../shaders/lib/linear-matrix-unscaled.wgsl" with { type: "text" };
import swiglu from "../../shaders/lib/linear-matrix-swiglu.wgsl" with { type: "text" };
import backwardWeight from "../../shaders/lib/linear-matrix-weight.wgsl" with { type: "text" };
import direct from "../../shaders/lib/linear-direct.wgsl" with { type: "text" };
import packed from "../../shaders/lib/linear-packed.wgsl" with { type: "text" };
import weight from "../../shaders/lib/linear-weight.wgsl" with { type: "text" };
import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import shared from "../../shaders/lib/linear.wgsl" with { type: "text" };
import scale from "../../shaders/lib/matrix-scale.wgsl" with { type: "text" };
import sigmoid from "../../shaders/lib/sigmoid.wgsl" with { type: "text" };
import source from "../../shaders/linear-matrix.wgsl" with { type: "text" };
import type { Workspace } from "../gpu/workspace.ts";
import { defineKernel, type Kernel } from "../gpu/kernel.ts";
import { hasManyRegisters } from "../gpu/registers.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Matrices } from "../gpu/tier.ts";
import { tuningShape } from "../gpu/tuning.ts";
import { productCost } from "./linear-cost.ts";
import { COMPONENTS, octetsOf, SharedRows, termScales } from "./linear-pack.ts";

/** How a workgroup of shaders/linear-matrix.wgsl divides its tile of the result. */
export interface Tile {
  /** Rows and columns of subgroups that multiply. */
  grid: readonly [rows: number, columns: number];
  /** Rows and columns of result matrices that each of them keeps. */
  fragments: readonly [rows: number, columns: number];
  /** Terms of the sum that are staged at a time. */
  slab: number;
  /** Invocations. */
  threads: number;
}

/** What decides on tiles, besides the matrices. */
export interface TileLimits {
  hasManyRegisters: boolean;
  subgroupMinSize: number;
  subgroupMaxSize: number;
  maxComputeInvocationsPerWorkgroup: number;
  maxComputeWorkgroupStorageSize: number;
}

const BYTES_PER_WORD = 16;
/** Results that an invocation keeps in registers at most, where it has many and where not: more would leave too few for everything else. */
const MOST_RESULTS = 128;
const FEW_RESULTS = 32;
/** Workgroups that keep a large GPU busy; a product of fewer takes a smaller tile. */
const ENOUGH_GROUPS = 64;
/** Subgroups that multiply, down and across; the first where invocations have few registers, and each of more takes less. */
const GRIDS = [
  [4, 2],
  [2, 2],
  [1, 2],
  [1, 1],
] as const;

const tileRows = ({ m }: Matrices, { grid, fragments }: Tile): number => grid[0] * fragments[0] * m;
const tileColumns = ({ n }: Matrices, { grid, fragments }: Tile): number => grid[1] * fragments[1] * n;

/** What a tile computes, for people. */
export const tileName = (matrices: Matrices, tile: Tile): string =>
  `${tileRows(matrices, tile)} x ${tileColumns(matrices, tile)}`;

/** Workgroup memory of a tile, as shaders/linear-matrix.wgsl declares it. */
function tileBytes(matrices: Matrices, tile: Tile): number {
  const { words } = COMPONENTS[matrices.component];
  const [rows, columns] = [tileRows(matrices, tile), tileColumns(matrices, tile)];
  const side = (length: number) =>
    Math.max(length * ((tile.slab / 8) * words + 1), tile.slab * ((length / 8) * words + 1));
  const results = tile.grid[0] * matrices.m * (columns / 4 + 1);
  return BYTES_PER_WORD * Math.max(side(rows) + side(columns), results);
}

/** The tiles for these matrices within these limits, largest first. The last one is a single result matrix. */
export function tilesFor(matrices: Matrices, limits: TileLimits): Tile[] {
  const { m, n, k, component } = matrices;
  const most = Math.floor(limits.maxComputeInvocationsPerWorkgroup / limits.subgroupMaxSize);
  const grid = GRIDS.find(([down, across]) => down * across <= most && (down < 4 || !limits.hasManyRegisters))!;
  const subgroups = grid[0] * grid[1];
  const threads = subgroups * limits.subgroupMaxSize;
  const slab = Math.max(k, component === "f16" && limits.hasManyRegisters ? 32 : 16);

  // A subgroup's part: 64 x 64 where it has 32 invocations, because a wider part reuses more of what it loads.
  const part = (rows: number, columns: number) => [Math.max(1, rows / m), Math.max(1, columns / n)] as const;
  let [rows, columns] = [64, 64];
  const mostResults = limits.hasManyRegisters ? MOST_RESULTS : FEW_RESULTS;
  while (rows * columns > mostResults * limits.subgroupMinSize) {
    if (rows === columns) rows /= 2;
    else columns /= 2;
  }
  const tiles: Tile[] = [
    { grid, fragments: part(rows, columns), slab, threads },
    { grid, fragments: part(rows / 2, columns / 2), slab, threads },
    // Where rows are few: as many workgroups as there can be, each with as much of W on its way as a larger tile's.
    { grid: [1, 1], fragments: [1, 1], slab: 4 * slab, threads },
  ];
  return tiles.filter((tile) => tileBytes(matrices, tile) <= limits.maxComputeWorkgroupStorageSize);
}

type RowsFrom = "packed" | "direct";

/** Of each product the texts that say where its operands lie and where its results go. */
const PRODUCTS = {
  linear_forward: [unscaled, alongRows, forward],
  linear_swiglu: [unscaled, swiglu],
  linear_logits: [unscaled, alongRows, logits],
  linear_backward_input: [unscaled, backwardInput],
  linear_backward_weight: [backwardWeight],
};

export type Product = keyof typeof PRODUCTS;

/** Every variant that there is of a tile; for few rows the forward products' rows may come directly from x. */
export const VARIANTS: readonly { product: Product; rowsFrom: RowsFrom }[] = [
  ...(Object.keys(PRODUCTS) as Product[]).map((product) => ({ product, rowsFrom: "packed" as const })),
  ...(["linear_forward", "linear_swiglu", "linear_logits"] as const).map((product) => ({
    product,
    rowsFrom: "direct" as const,
  })),
];

const kernels = new WeakMap<Tile, Map<string, Kernel>>();

/** The kernel of a product for a tile of these matrices, with one entry point of the product's name. */
export function matrixKernel(matrices: Matrices, tile: Tile, rowsFrom: RowsFrom, product: Product): Kernel {
  let known = kernels.get(tile);
  if (!known) kernels.set(tile, (known = new Map()));
  const key = `${product} ${rowsFrom}`;
  let kernel = known.get(key);
  if (!kernel) known.set(key, (kernel = makeKernel(matrices, tile, rowsFrom, product)));
  return kernel;
}

function makeKernel(matrices: Matrices, tile: Tile, rowsFrom: RowsFrom, product: Product): Kernel {
  const constants = Object.entries({
    M: matrices.m,
    N: matrices.n,
    K: matrices.k,
    GRID_ROWS: tile.grid[0],
    GRID_COLUMNS: tile.grid[1],
    FRAGMENT_ROWS: tile.fragments[0],
    FRAGMENT_COLUMNS: tile.fragments[1],
    TILE_ROWS: tileRows(matrices, tile),
    TILE_COLUMNS: tileColumns(matrices, tile),
    SLAB: tile.slab,
    THREADS: tile.threads,
  })
    .map(([name, value]) => `const ${name} = ${value}u;`)
    .join(" ");
  const component = COMPONENTS[matrices.component].text;
  const rows = rowsFrom === "packed" ? packed : direct;
  const includes = [constants, component, scale, exp, sigmoid, shared, weight, rows, ...PRODUCTS[product]];
  return defineKernel({ name: "linear-matrix", source, includes });
}

const tiles = new WeakMap<GPUSupportedLimits, Tile[]>();

/** The adapter's tiles, which gpu.tuning numbers. */
export function tilesOf(gpu: Workspace, matrices: Matrices): Tile[] {
  let known = tiles.get(gpu.limits);
  if (!known) {
    const { subgroupMinSize, subgroupMaxSize } = gpu.info;
    const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = gpu.limits;
    known = tilesFor(matrices, {
      hasManyRegisters: hasManyRegisters(gpu.info),
      subgroupMinSize,
      subgroupMaxSize,
      maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupStorageSize,
    });
    tiles.set(gpu.limits, known);
  }
  return known;
}

/** The largest tile, by index, that is not mostly beyond the last row and makes enough workgroups of a result. */
export function tileByRule(gpu: Workspace, matrices: Matrices, rows: number, columns: number): number {
  const all = tilesOf(gpu, matrices);
  const first = all.findIndex((tile) => {
    const [across, down] = groups(matrices, tile, rows, columns);
    return 2 * rows > tileRows(matrices, tile) && across * down >= ENOUGH_GROUPS;
  });
  return first >= 0 ? first : all.length - 1;
}

/** The tile that was measured to be the fastest for such a result, otherwise that of the rule. */
function tileOf(gpu: Workspace, matrices: Matrices, entryPoint: string, rows: number, columns: number): Tile {
  const tuned = gpu.tuning?.get(tuningShape(entryPoint, rows, columns));
  return tilesOf(gpu, matrices)[tuned ?? tileByRule(gpu, matrices, rows, columns)]!;
}

const groups = (matrices: Matrices, tile: Tile, rows: number, columns: number) =>
  [Math.ceil(columns / tileColumns(matrices, tile)), Math.ceil(rows / tileRows(matrices, tile))] as const;

type Params = Record<string, number>;

/**
 * Records linear_forward, linear_swiglu, linear_logits or linear_backward_input: rows of `left` times a bf16 weight, for
 * linear_swiglu two. `columns` are those of the result, for linear_swiglu of both.
 */
export function multiplyRows(
  rec: Recorder,
  matrices: Matrices,
  product: Exclude<Product, "linear_backward_weight">,
  {
    left,
    weight,
    upWeight,
    columns,
    params,
    buffers,
  }: {
    left: Tensor | SharedRows;
    weight: Tensor;
    upWeight?: Tensor;
    columns: number;
    params: Params & { row0: number; outputs: number };
    buffers: Record<string, Tensor>;
  },
): void {
  const { gpu } = rec;
  const { component } = matrices;
  const shared = SharedRows.of(left);
  const rows = shared.shape[0]!;
  const tile = tileOf(gpu, matrices, product, rows, columns);
  const { octets, row0, scratch } = octetsOf(rec, component, weight, params.row0, params.outputs);
  const up = upWeight && octetsOf(rec, component, upWeight, 0, params.outputs);
  const isDirect = shared.hasSource && product !== "linear_backward_input" && tileRows(matrices, tile) === matrices.m;
  const operand = isDirect ? { x: shared.source } : shared.packed(rec, component);
  const all = { ...operand, octets, ...(up && { up_octets: up.octets }), ...buffers };
  rec.dispatch(matrixKernel(matrices, tile, isDirect ? "direct" : "packed", product), product, {
    params: { ...params, row0 },
    buffers: all,
    cost: productCost(params, all),
    workgroups: groups(matrices, tile, rows, columns),
  });
  gpu.release(scratch, up?.scratch);
  if (shared !== left) shared.release(rec);
}

/** Records linear_backward_weight. */
export function multiplyTerms(
  rec: Recorder,
  matrices: Matrices,
  {
    dy: left,
    x: right,
    dweight,
    params,
  }: {
    dy: Tensor | SharedRows;
    x: Tensor | SharedRows;
    dweight: Tensor;
    params: Params & { inputs: number; outputs: number };
  },
): void {
  const { gpu } = rec;
  const { component } = matrices;
  const { inputs, outputs } = params;
  const tile = tileOf(gpu, matrices, "linear_backward_weight", outputs, inputs);
  const [dy, x] = [SharedRows.of(left), SharedRows.of(right)];
  const [packedDy, packedX] = [dy.packed(rec, component), x.packed(rec, component)];
  const scales = termScales(rec, component, packedDy, packedX);
  const buffers = { packed: packedDy.packed, packed_x: packedX.packed, ...scales, dweight };
  rec.dispatch(matrixKernel(matrices, tile, "packed", "linear_backward_weight"), "linear_backward_weight", {
    params,
    buffers,
    cost: productCost(params, buffers),
    workgroups: groups(matrices, tile, outputs, inputs),
  });
  gpu.release(...Object.values(scales));
  if (dy !== left) dy.release(rec);
  if (x !== right) x.release(rec);
}
