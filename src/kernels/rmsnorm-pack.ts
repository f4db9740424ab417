import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import row from "../../shaders/lib/rmsnorm-row.wgsl" with { type: "text" };
import scale from "../../shaders/lib/matrix-scale.wgsl" with { type: "text" };
import shared from "../../shaders/lib/rmsnorm.wgsl" with { type: "text" };
import square from "../../shaders/lib/square.wgsl" with { type: "text" };
import source from "../../shaders/rmsnorm-pack.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";
import { COMPONENTS, emptyRows, SharedRows } from "./linear-pack.ts";
import { rmsnormForward, ROW_LANES } from "./rmsnorm.ts";

/** Fewer rows go to the smallest tile, which takes them in f32. */
const PACKED_FROM = 128;

const kernelOf = (text: string) =>
  defineKernel({ name: "rmsnorm-pack", source, includes: [text, scale, index, shared, square, row] });
/** By what operands are rounded to. */
export const rmsnormPacks = { f16: kernelOf(COMPONENTS.f16.text), f32: kernelOf(COMPONENTS.f32.text) };

/**
 * rmsnormForward's y (kernels/rmsnorm.ts) of x f32 [T, C] for the products that read it: of many rows, where subgroup matrices
 * multiply, as its octets alone. Overwrites rstd. To be given back with releaseAll.
 */
export function rmsnormRows(
  rec: Recorder,
  { x, weight, rstd, eps }: { x: Tensor; weight: Tensor; rstd: Tensor; eps: number },
): SharedRows {
  const { gpu } = rec;
  const [rows = 0, columns = 0] = x.shape;
  if (!gpu.matrices || weight.dtype !== "bf16" || rows < PACKED_FROM) {
    const y = gpu.empty(x.shape, "f32");
    rmsnormForward(rec, { x, weight, y, rstd, eps });
    return new SharedRows(y);
  }
  const ok = hasShape(x, rows, columns) && hasShape(weight, columns) && hasShape(rstd, rows) && columns % 2 === 0;
  check(ok, "rmsnorm_pack", "x [T, C], weight [C], rstd [T] with even C", { x, weight, rstd });
  const octets = emptyRows(rec, gpu.matrices.component, x.shape);
  const lanes = gpu.info.subgroupMinSize;
  rec.dispatch(rmsnormPacks[gpu.matrices.component], "rmsnorm_pack", {
    params: { rows, columns, eps },
    buffers: { x, weight, rstd, ...octets },
    workgroups: [Math.ceil((rows * ROW_LANES) / lanes)],
    constants: { LANES: lanes },
  });
  return new SharedRows(null, x.shape, octets);
}
