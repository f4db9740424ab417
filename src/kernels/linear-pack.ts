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

/** Words of an octet, and parts that a number of the left operand has in the forward products (FORWARD_PARTS). */
export const COMPONENTS = { f16: { text: f16, words: 1, parts: 2 }, f32: { text: f32, words: 2, parts: 1 } };

const packs = {
  f16: defineKernel({ name: "linear-pack", source, includes: [f16, scale, index] }),
  f32: defineKernel({ name: "linear-pack", source, includes: [f32, scale, index] }),
};

/** The kernel that makes operands ready. */
export const packKernel = (component: Component): Kernel => packs[component];

/** Room for the rows of a matrix in octets of a component, each of so many parts. */
function octetRows(
  { gpu }: Recorder,
  component: Component,
  { shape: [rows = 0, columns = 0] }: Tensor,
  parts: number,
): Tensor {
  return gpu.empty([rows, 4 * COMPONENTS[component].words * parts * Math.ceil(columns / 8)], "u32");
}

/** Records a kernel of shaders/linear-pack.wgsl that takes a matrix row by row. */
function perRow(
  rec: Recorder,
  component: Component,
  entryPoint: string,
  source: Tensor,
  buffers: Record<string, Tensor>,
  parts = 1,
): void {
  const [rows = 0, columns = 0] = source.shape;
  rec.dispatch(packKernel(component), entryPoint, {
    params: { rows, columns, parts },
    buffers: { source, ...buffers },
    workgroups: [rows],
  });
}

/** Rows of a matrix as octets, each row scaled by 2^-exponent. */
export function packRows(
  rec: Recorder,
  component: Component,
  source: Tensor,
  parts: number,
): { packed: Tensor; exponents: Tensor } {
  const packed = octetRows(rec, component, source, parts);
  const exponents = rec.gpu.empty([source.shape[0]!], "i32");
  perRow(rec, component, "linear_pack", source, { packed, exponents }, parts);
  return { packed, exponents };
}

/** The rows of two matrices as octets, scaled so that the two exponents of every row have the same sum. */
export function packTerms(rec: Recorder, component: Component, dy: Tensor, x: Tensor) {
  const { gpu } = rec;
  const rows = x.shape[0]!;
  const exponentsOf = (source: Tensor) => {
    const exponents = gpu.empty([rows], "i32");
    perRow(rec, component, "linear_exponents", source, { exponents });
    return exponents;
  };
  const [exponents, exponentsX] = [exponentsOf(dy), exponentsOf(x)];
  const exponentSum = gpu.empty([1], "i32");
  rec.dispatch(packKernel(component), "linear_sum_exponents", {
    params: { rows },
    buffers: { exponents, exponents_x: exponentsX, exponent_sum: exponentSum },
    workgroups: [1],
  });
  const packed = octetRows(rec, component, dy, 1);
  perRow(rec, component, "linear_pack_terms", dy, { packed, row_exponents: exponents });
  const packedX = octetRows(rec, component, x, 1);
  perRow(rec, component, "linear_pack_terms", x, { packed: packedX, row_exponents: exponentsX });
  gpu.release(exponents, exponentsX);
  return { packed, packed_x: packedX, exponent_sum: exponentSum };
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
