import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import packed from "../../shaders/lib/linear-packed.wgsl" with { type: "text" };
import shared from "../../shaders/lib/linear.wgsl" with { type: "text" };
import weightText from "../../shaders/lib/linear-weight.wgsl" with { type: "text" };
import f16 from "../../shaders/lib/matrix-f16.wgsl" with { type: "text" };
import scale from "../../shaders/lib/matrix-scale.wgsl" with { type: "text" };
import sigmoid from "../../shaders/lib/sigmoid.wgsl" with { type: "text" };
import source from "../../shaders/linear-f16.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { octetsOf, packRows, packTerms } from "./linear-pack.ts";

/** Rows and columns of a workgroup's tile. */
const TILE = 64;

const kernel = defineKernel({
  name: "linear-f16",
  source,
  includes: [f16, scale, exp, sigmoid, shared, weightText, packed],
});

const groups = (rows: number, columns: number) => [Math.ceil(columns / TILE), Math.ceil(rows / TILE)] as const;

interface Params {
  rows: number;
  inputs: number;
  outputs: number;
  row0: number;
}

/** Records linear_backward_input for a bf16 weight. */
export function f16BackwardInput(
  rec: Recorder,
  { dy, weight, dx, params }: { dy: Tensor; weight: Tensor; dx: Tensor; params: Params & { accumulate: number } },
): void {
  const { octets, row0, scratch } = octetsOf(rec, "f16", weight, params.row0, params.outputs);
  const operand = packRows(rec, "f16", dy, 1);
  rec.dispatch(kernel, "linear_backward_input", {
    params: { ...params, row0 },
    buffers: { ...operand, octets, dx },
    workgroups: groups(params.rows, params.inputs),
  });
  rec.gpu.release(scratch, operand.packed, operand.exponents);
}

/** Records linear_backward_weight for a bf16 weight. */
export function f16BackwardWeight(
  rec: Recorder,
  { x, dy, dweight, params }: { x: Tensor; dy: Tensor; dweight: Tensor; params: Params },
): void {
  const operands = packTerms(rec, "f16", dy, x);
  rec.dispatch(kernel, "linear_backward_weight", {
    params: { ...params },
    buffers: { ...operands, dweight },
    workgroups: groups(params.outputs, params.inputs),
  });
  rec.gpu.release(...Object.values(operands));
}
