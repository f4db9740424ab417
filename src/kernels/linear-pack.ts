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

/** Room for the rows of a matrix in octets of a component. */
function octetRows({ gpu }: Recorder, component: Component, { shape: [rows = 0, columns = 0] }: Tensor): Tensor {
  return gpu.empty([rows, 4 * COMPONENTS[component].words * Math.ceil(columns / 8)], "u32");
}

/** Records a kernel of shaders/linear-pack.wgsl that takes a matrix row by row. */
function perRow(
  rec: Recorder,
  component: Component,
  entryPoint: string,
  source: Tensor,
  buffers: Record<string, Tensor>,
): void {
  const [rows = 0, columns = 0] = source.shape;
  rec.dispatch(packKernel(component), entryPoint, {
    params: { rows, columns },
    buffers: { source, ...buffers },
    workgroups: [rows],
  });
}

/** A matrix of octets, rows scaled by 2^-exponent. */
interface PackedRows {
  packed: Tensor;
  exponents: Tensor;
}

/** Rows of a matrix as octets, each row scaled by its own power of two. */
export function packRows(rec: Recorder, component: Component, source: Tensor): PackedRows {
  const packed = octetRows(rec, component, source);
  const exponents = rec.gpu.empty([source.shape[0]!], "i32");
  perRow(rec, component, "linear_pack", source, { packed, exponents });
  return { packed, exponents };
}

/** Rows that several products take as their left operand, or as x: packed by the first that wants them so. */
export class SharedRows {
  readonly source: Tensor;
  #packed: PackedRows | null = null;

  constructor(source: Tensor) {
    this.source = source;
  }

  packed(rec: Recorder, component: Component): PackedRows {
    return (this.#packed ??= packRows(rec, component, this.source));
  }

  /** Gives back what was packed, not the source. */
  release(rec: Recorder): void {
    rec.gpu.release(this.#packed?.packed, this.#packed?.exponents);
    this.#packed = null;
  }
}

/**
 * The rows of two matrices as octets, scaled so that the two exponents of every row have the same sum; those of x as they are
 * packed, where it is shared, for which its rows should have nearly the same exponents. `scratch` is to be released.
 */
export function packTerms(rec: Recorder, component: Component, dy: Tensor, x: Tensor | SharedRows) {
  const { gpu } = rec;
  const rows = dy.shape[0]!;
  const exponentsOf = (source: Tensor) => {
    const exponents = gpu.empty([rows], "i32");
    perRow(rec, component, "linear_exponents", source, { exponents });
    return exponents;
  };
  const exponents = exponentsOf(dy);
  const exponentSum = gpu.empty([1], "i32");
  const join = (entryPoint: string, ofX: Record<string, Tensor>) =>
    rec.dispatch(packKernel(component), entryPoint, {
      params: { rows },
      buffers: { exponents, ...ofX, exponent_sum: exponentSum },
      workgroups: [1],
    });
  const packScaled = (source: Tensor, rowExponents: Tensor) => {
    const packed = octetRows(rec, component, source);
    perRow(rec, component, "linear_pack_terms", source, { packed, row_exponents: rowExponents });
    gpu.release(rowExponents);
    return packed;
  };
  if (x instanceof SharedRows) {
    const shared = x.packed(rec, component);
    join("linear_meet_exponents", { row_exponents: shared.exponents });
    const packed = packScaled(dy, exponents);
    return { operands: { packed, packed_x: shared.packed, exponent_sum: exponentSum }, scratch: [packed, exponentSum] };
  }
  const exponentsX = exponentsOf(x);
  join("linear_sum_exponents", { exponents_x: exponentsX });
  const packed = packScaled(dy, exponents);
  const packedX = packScaled(x, exponentsX);
  return {
    operands: { packed, packed_x: packedX, exponent_sum: exponentSum },
    scratch: [packed, packedX, exponentSum],
  };
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
