import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import row from "../../shaders/lib/rmsnorm-row.wgsl" with { type: "text" };
import shared from "../../shaders/lib/rmsnorm.wgsl" with { type: "text" };
import square from "../../shaders/lib/square.wgsl" with { type: "text" };
import subgroupSource from "../../shaders/rmsnorm-subgroup.wgsl" with { type: "text" };
import source from "../../shaders/rmsnorm.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Dispatch, Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";

const baseline = defineKernel({ name: "rmsnorm", source, includes: [index, shared, square] });
const subgroup = defineKernel({
  name: "rmsnorm-subgroup",
  source: subgroupSource,
  includes: [index, shared, square, row],
});

const GROUP_ROWS = 4;
const GROUP_COLUMNS = 8;
/** Invocations that share a row in a subgroup. */
export const ROW_LANES = 8;

/** Records an entry point that goes through x row by row. */
function dispatchRows(
  rec: Recorder,
  entryPoint: string,
  rows: number,
  { params, buffers }: Pick<Dispatch, "params" | "buffers">,
): void {
  const { tier, info } = rec.gpu;
  if (tier === "baseline") {
    rec.dispatch(baseline, entryPoint, { params, buffers, workgroups: [Math.ceil(rows / GROUP_ROWS)] });
  } else {
    const lanes = info.subgroupMinSize;
    const workgroups = [Math.ceil((rows * ROW_LANES) / lanes)] as const;
    rec.dispatch(subgroup, entryPoint, { params, buffers, workgroups, constants: { LANES: lanes } });
  }
}

/**
 * y f32 [..., C] = x rstd weight, rstd f32 [...] = 1 / sqrt(mean(x^2) + eps) (Zhang & Sennrich 2019), of x f32 [..., C] and
 * weight elem [C], C even: rows are tokens of the residual stream, or heads of queries and keys (Qwen3). Overwrites y and
 * rstd; the backward pass reads rstd.
 */
export function rmsnormForward(
  rec: Recorder,
  { x, weight, y, rstd, eps }: { x: Tensor; weight: Tensor; y: Tensor; rstd: Tensor; eps: number },
): void {
  const [columns = 0] = weight.shape;
  const outer = x.shape.slice(0, -1);
  const ok =
    hasShape(x, ...outer, columns) &&
    hasShape(weight, columns) &&
    hasShape(y, ...x.shape) &&
    hasShape(rstd, ...outer) &&
    columns % 2 === 0;
  check(ok, "rmsnorm_forward", "x, y [..., C], weight [C], rstd [...] with even C", { x, weight, y, rstd });
  dispatchRows(rec, "rmsnorm_forward", rstd.size, {
    params: { rows: rstd.size, columns, eps },
    buffers: { x, weight, y, rstd },
  });
}

/**
 * From dy f32 [..., C] and what rmsnormForward read and saved: dx f32 [..., C], added to what it holds if `accumulate` (the
 * residual stream, to which the norm's branch contributes), otherwise overwritten. Adds to dweight f32 [C] where
 * it is given: a frozen weight has none.
 */
export function rmsnormBackward(
  rec: Recorder,
  {
    x,
    weight,
    rstd,
    dy,
    dx,
    dweight,
    accumulate,
  }: {
    x: Tensor;
    weight: Tensor;
    rstd: Tensor;
    dy: Tensor;
    dx: Tensor;
    dweight?: Tensor | undefined;
    accumulate: boolean;
  },
): void {
  const [columns = 0] = weight.shape;
  const outer = x.shape.slice(0, -1);
  const ok =
    hasShape(x, ...outer, columns) &&
    hasShape(weight, columns) &&
    hasShape(rstd, ...outer) &&
    hasShape(dy, ...x.shape) &&
    hasShape(dx, ...x.shape) &&
    hasShape(dweight, columns) &&
    columns % 2 === 0;
  const expected = "x, dy, dx [..., C], weight, dweight [C], rstd [...] with even C";
  check(ok, "rmsnorm_backward", expected, { x, weight, rstd, dy, dx, dweight });
  const params = { rows: rstd.size, columns, accumulate: accumulate ? 1 : 0 };
  dispatchRows(rec, "rmsnorm_backward", rstd.size, { params, buffers: { x, weight, saved_rstd: rstd, dy, dx } });
  if (!dweight) return;
  rec.dispatch(baseline, "rmsnorm_backward_weight", {
    params,
    buffers: { x, saved_rstd: rstd, dy, dweight },
    workgroups: [Math.ceil(columns / GROUP_COLUMNS)],
  });
}
