import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import source from "../../shaders/rmsnorm.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";

const rmsnorm = defineKernel({ name: "rmsnorm", source, includes: [index] });

const GROUP_ROWS = 4;
const GROUP_COLUMNS = 8;

/**
 * y elem [T, C] = x rstd weight, rstd f32 [T] = 1 / sqrt(mean(x^2) + eps) (Zhang & Sennrich 2019), of the residual
 * stream x f32 [T, C] and weight elem [C], C even. Overwrites y and rstd; the backward pass reads rstd.
 */
export function rmsnormForward(
  rec: Recorder,
  { x, weight, y, rstd, eps }: { x: Tensor; weight: Tensor; y: Tensor; rstd: Tensor; eps: number },
): void {
  const [rows = 0, columns = 0] = x.shape;
  const ok =
    hasShape(x, rows, columns) &&
    hasShape(weight, columns) &&
    hasShape(y, rows, columns) &&
    hasShape(rstd, rows) &&
    columns % 2 === 0;
  check(ok, "rmsnorm_forward", "x [T, C], weight [C], y [T, C], rstd [T] with even C", { x, weight, y, rstd });
  rec.dispatch(rmsnorm, "rmsnorm_forward", {
    params: { rows, columns, eps },
    buffers: { x, weight, y, rstd },
    workgroups: [Math.ceil(rows / GROUP_ROWS)],
  });
}

/**
 * Adds to dx f32 [T, C] (the gradient of the residual stream, to which the norm's branch contributes) and to dweight
 * f32 [C], from dy f32 [T, C] and what rmsnormForward read and saved.
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
  }: { x: Tensor; weight: Tensor; rstd: Tensor; dy: Tensor; dx: Tensor; dweight: Tensor },
): void {
  const [rows = 0, columns = 0] = x.shape;
  const ok =
    hasShape(x, rows, columns) &&
    hasShape(weight, columns) &&
    hasShape(rstd, rows) &&
    hasShape(dy, rows, columns) &&
    hasShape(dx, rows, columns) &&
    hasShape(dweight, columns) &&
    columns % 2 === 0;
  const expected = "x, dy, dx [T, C], weight, dweight [C], rstd [T] with even C";
  check(ok, "rmsnorm_backward", expected, { x, weight, rstd, dy, dx, dweight });
  rec.dispatch(rmsnorm, "rmsnorm_backward", {
    params: { rows, columns },
    buffers: { x, weight, saved_rstd: rstd, dy, dx },
    workgroups: [Math.ceil(rows / GROUP_ROWS)],
  });
  rec.dispatch(rmsnorm, "rmsnorm_backward_weight", {
    params: { rows, columns },
    buffers: { x, saved_rstd: rstd, dy, dweight },
    workgroups: [Math.ceil(columns / GROUP_COLUMNS)],
  });
}

/**
 * The norm over each head of queries or keys (Qwen3): x elem [T, H, D], weight elem [D], D even. Overwrites
 * y elem [T, H, D] and rstd f32 [T, H].
 */
export function headNormForward(
  rec: Recorder,
  { x, weight, y, rstd, eps }: { x: Tensor; weight: Tensor; y: Tensor; rstd: Tensor; eps: number },
): void {
  const [tokens = 0, heads = 0, columns = 0] = x.shape;
  const ok =
    hasShape(x, tokens, heads, columns) &&
    hasShape(weight, columns) &&
    hasShape(y, tokens, heads, columns) &&
    hasShape(rstd, tokens, heads) &&
    columns % 2 === 0;
  check(ok, "head_norm_forward", "x, y [T, H, D], weight [D], rstd [T, H] with even D", { x, weight, y, rstd });
  const rows = tokens * heads;
  rec.dispatch(rmsnorm, "head_norm_forward", {
    params: { rows, columns, eps },
    buffers: { heads: x, weight, y, rstd },
    workgroups: [Math.ceil(rows / GROUP_ROWS)],
  });
}

/** Overwrites dx f32 [T, H, D] and adds to dweight f32 [D], from dy f32 [T, H, D]. */
export function headNormBackward(
  rec: Recorder,
  {
    x,
    weight,
    rstd,
    dy,
    dx,
    dweight,
  }: { x: Tensor; weight: Tensor; rstd: Tensor; dy: Tensor; dx: Tensor; dweight: Tensor },
): void {
  const [tokens = 0, heads = 0, columns = 0] = x.shape;
  const ok =
    hasShape(x, tokens, heads, columns) &&
    hasShape(weight, columns) &&
    hasShape(rstd, tokens, heads) &&
    hasShape(dy, tokens, heads, columns) &&
    hasShape(dx, tokens, heads, columns) &&
    hasShape(dweight, columns) &&
    columns % 2 === 0;
  const expected = "x, dy, dx [T, H, D], weight, dweight [D], rstd [T, H] with even D";
  check(ok, "head_norm_backward", expected, { x, weight, rstd, dy, dx, dweight });
  const rows = tokens * heads;
  rec.dispatch(rmsnorm, "head_norm_backward", {
    params: { rows, columns },
    buffers: { heads: x, weight, saved_rstd: rstd, dy, dx },
    workgroups: [Math.ceil(rows / GROUP_ROWS)],
  });
  rec.dispatch(rmsnorm, "head_norm_backward_weight", {
    params: { rows, columns },
    buffers: { heads: x, saved_rstd: rstd, dy, dweight },
    workgroups: [Math.ceil(columns / GROUP_COLUMNS)],
  });
}
