import f16 from "../../shaders/lib/matrix-f16.wgsl" with { type: "text" };
import f32 from "../../shaders/lib/matrix-f32.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import scale from "../../shaders/lib/matrix-scale.wgsl" with { type: "text" };
import source from "../../shaders/linear-pack.wgsl" with { type: "text" };
import { defineKernel, type Kernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { Tensor } from "../gpu/tensor.ts";
import type { Matrices } from "../gpu/tier.ts";

/** What operands are rounded to. */
export type Component = Matrices["component"];

/** The text for operands of a component, and the words of an octet. */
export const COMPONENTS = { f16: { text: f16, words: 1 }, f32: { text: f32, words: 2 } };

const packs = {
  f16: defineKernel({ name: "linear-pack", source, includes: [f16, scale, index] }),
  f32: defineKernel({ name: "linear-pack", source, includes: [f32, scale, index] }),
};

/** The kernel that makes operands ready. */
export const packKernel = (component: Component): Kernel => packs[component];

/** A matrix of octets, rows scaled by 2^-exponent. */
export interface PackedRows {
  packed: Tensor;
  exponents: Tensor;
}

/** Room for the rows of a matrix. */
export const emptyRows = (
  { gpu }: Recorder,
  component: Component,
  [rows = 0, columns = 0]: readonly number[],
): PackedRows => ({
  packed: gpu.empty([rows, 4 * COMPONENTS[component].words * Math.ceil(columns / 8)], "u32"),
  exponents: gpu.empty([rows], "i32"),
});

/** Rows of a matrix as octets, each row scaled by its own power of two. */
function packRows(rec: Recorder, component: Component, source: Tensor): PackedRows {
  const [rows = 0, columns = 0] = source.shape;
  const { packed, exponents } = emptyRows(rec, component, source.shape);
  rec.dispatch(packKernel(component), "linear_pack", {
    params: { rows, columns },
    buffers: { source, packed, exponents },
    workgroups: [rows],
  });
  return { packed, exponents };
}

/** Rows that several products take, as their left operand or for a sum over them: packed by the first that wants them so. */
export class SharedRows {
  readonly shape: readonly number[];
  readonly #source: Tensor | null;
  #packed: PackedRows | null;

  constructor(source: Tensor | null, shape = source!.shape, packed: PackedRows | null = null) {
    this.shape = shape;
    this.#source = source;
    this.#packed = packed;
  }

  /** Rows that are shared, or a tensor's for one product. */
  static of(rows: Tensor | SharedRows): SharedRows {
    return rows instanceof SharedRows ? rows : new SharedRows(rows);
  }

  /** The rows in f32, which those that were made as octets have not. */
  get source(): Tensor {
    if (!this.#source) throw new Error("expected rows in f32, got octets");
    return this.#source;
  }

  packed(rec: Recorder, component: Component): PackedRows {
    return (this.#packed ??= packRows(rec, component, this.source));
  }

  get hasSource(): boolean {
    return this.#source !== null;
  }

  /** Some tensor of these rows, for a binding that is not read. */
  get anyTensor(): Tensor {
    return this.#source ?? this.#packed!.packed;
  }

  /** Gives back what was packed, and can be from the source again. */
  release(rec: Recorder): void {
    if (!this.#source) return;
    rec.gpu.release(this.#packed?.packed, this.#packed?.exponents);
    this.#packed = null;
  }

  /** Gives back all of it. */
  releaseAll(rec: Recorder): void {
    rec.gpu.release(this.#source, this.#packed?.packed, this.#packed?.exponents);
    this.#packed = null;
  }
}

/** What the exponents of two matrices' rows add up to at most, and what each row lacks of it: both to be released. */
export function termScales(rec: Recorder, component: Component, dy: PackedRows, x: PackedRows) {
  const [rows = 0] = dy.exponents.shape;
  const scales = { exponent_sum: rec.gpu.empty([1], "i32"), term_scales: rec.gpu.empty([rows, 2], "u32") };
  rec.dispatch(packKernel(component), "linear_term_scales", {
    params: { rows },
    buffers: { row_exponents: dy.exponents, row_exponents_x: x.exponents, ...scales },
    workgroups: [1],
  });
  return scales;
}

/** Rows row0 .. row0 + count of a bf16 weight in whole octets: itself where its rows are, otherwise a copy. */
export function octetsOf(rec: Recorder, component: Component, weight: Tensor, row0: number, count: number) {
  const [rows = 0, columns = 0] = weight.shape;
  const words = 4 * Math.ceil(columns / 8);
  if (columns % 8 === 0) {
    return { octets: new Tensor(weight.allocation, [rows, words], "u32", weight.offset), row0, scratch: null };
  }
  const octets = rec.gpu.empty([count, words], "u32");
  rec.dispatch(packKernel(component), "linear_pack_weight", {
    params: { rows: count, columns, row0 },
    buffers: { weight_pairs: new Tensor(weight.allocation, [(rows * columns) / 2], "u32", weight.offset), octets },
    workgroups: [count],
  });
  return { octets, row0: 0, scratch: octets };
}
