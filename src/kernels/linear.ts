import source from "../../shaders/linear.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";

const linear = defineKernel({ name: "linear", source });

/** Rows and columns that a workgroup computes: 4 x 8 invocations with a tile of 8 x 8 each. */
const GROUP_ROWS = 32;
const GROUP_COLUMNS = 64;
const BIAS_COLUMNS = 8;

const groups = (rows: number, columns: number) =>
  [Math.ceil(columns / GROUP_COLUMNS), Math.ceil(rows / GROUP_ROWS)] as const;

/**
 * y f32 [T, N] = x f32 [T, K] W[N, K]^T, plus bias [N] and residual f32 [T, N] where given; W and bias are elem.
 * Overwrites y, which is another tensor than residual. K and N are even.
 */
export function linearForward(
  rec: Recorder,
  { x, weight, bias, residual, y }: { x: Tensor; weight: Tensor; bias?: Tensor; residual?: Tensor; y: Tensor },
): void {
  const [rows = 0, inputs = 0] = x.shape;
  const [outputs = 0] = weight.shape;
  const ok =
    hasShape(x, rows, inputs) &&
    hasShape(weight, outputs, inputs) &&
    hasShape(bias, outputs) &&
    hasShape(residual, rows, outputs) &&
    hasShape(y, rows, outputs) &&
    inputs % 2 === 0 &&
    outputs % 2 === 0;
  const expected = "x [T, K], weight [N, K], bias [N], residual, y [T, N] with even K and N";
  check(ok, "linear_forward", expected, { x, weight, bias, residual, y });
  rec.dispatch(linear, "linear_forward", {
    params: { rows, inputs, outputs, row0: 0, has_bias: bias ? 1 : 0, has_residual: residual ? 1 : 0 },
    // A binding must hold some tensor even where it is not read.
    buffers: { x, weight, bias: bias ?? weight, residual: residual ?? x, y },
    workgroups: groups(rows, outputs),
  });
}

/**
 * logits f32 [T, rows] = x f32 [T, K] W[row0 : row0 + rows]^T: one chunk of the vocabulary of the head W [V, K].
 * Overwrites logits. K is even; V and rows may be odd.
 */
export function linearLogits(
  rec: Recorder,
  { x, weight, row0, rows, logits }: { x: Tensor; weight: Tensor; row0: number; rows: number; logits: Tensor },
): void {
  const [tokens = 0, inputs = 0] = x.shape;
  const [vocabulary = 0] = weight.shape;
  const ok =
    hasShape(x, tokens, inputs) &&
    hasShape(weight, vocabulary, inputs) &&
    hasShape(logits, tokens, rows) &&
    row0 >= 0 &&
    row0 + rows <= vocabulary &&
    inputs % 2 === 0;
  check(ok, "linear_logits", `x [T, K], weight [V >= ${row0 + rows}, K], logits [T, ${rows}] with even K`, {
    x,
    weight,
    logits,
  });
  rec.dispatch(linear, "linear_logits", {
    params: { rows: tokens, inputs, outputs: rows, row0 },
    buffers: { x, weight, logits },
    workgroups: groups(tokens, rows),
  });
}

/**
 * dx f32 [T, K] = dy f32 [T, N] W[row0 : row0 + N], added to what dx holds if `accumulate`, otherwise overwritten.
 * W is elem [V >= row0 + N, K]; `row0` (default 0) is for chunks of the vocabulary. K is even, N may be odd.
 */
export function linearBackwardInput(
  rec: Recorder,
  {
    dy,
    weight,
    dx,
    accumulate,
    row0 = 0,
  }: { dy: Tensor; weight: Tensor; dx: Tensor; accumulate: boolean; row0?: number },
): void {
  const [rows, inputs, outputs] = backwardShape("linear_backward_input", dx, dy, weight, row0, { dy, weight, dx });
  rec.dispatch(linear, "linear_backward_input", {
    params: { rows, inputs, outputs, row0, accumulate: accumulate ? 1 : 0 },
    buffers: { dy, weight, dx },
    workgroups: groups(rows, inputs),
  });
}

/**
 * dweight[row0 : row0 + N] += dy^T x, with x f32 [T, K], dy f32 [T, N] and dweight f32 [V >= row0 + N, K].
 * K is even, N may be odd.
 */
export function linearBackwardWeight(
  rec: Recorder,
  { x, dy, dweight, row0 = 0 }: { x: Tensor; dy: Tensor; dweight: Tensor; row0?: number },
): void {
  const [rows, inputs, outputs] = backwardShape("linear_backward_weight", x, dy, dweight, row0, { x, dy, dweight });
  rec.dispatch(linear, "linear_backward_weight", {
    params: { rows, inputs, outputs, row0 },
    buffers: { x, dy, dweight },
    workgroups: groups(outputs, inputs),
  });
}

function backwardShape(
  op: string,
  x: Tensor,
  dy: Tensor,
  weight: Tensor,
  row0: number,
  tensors: Record<string, Tensor>,
): [rows: number, inputs: number, outputs: number] {
  const [rows = 0, inputs = 0] = x.shape;
  const [, outputs = 0] = dy.shape;
  const [weightRows = 0] = weight.shape;
  const ok =
    hasShape(x, rows, inputs) &&
    hasShape(dy, rows, outputs) &&
    hasShape(weight, weightRows, inputs) &&
    row0 >= 0 &&
    row0 + outputs <= weightRows &&
    inputs % 2 === 0;
  check(ok, op, `dy [T, N], inputs [T, K] and weight [at least ${row0} + N, K] with even K`, tensors);
  return [rows, inputs, outputs];
}

/** dbias f32 [N] += the sum of dy f32 [T, N] over its rows. */
export function linearBackwardBias(rec: Recorder, { dy, dbias }: { dy: Tensor; dbias: Tensor }): void {
  const [rows = 0, outputs = 0] = dy.shape;
  check(hasShape(dy, rows, outputs) && hasShape(dbias, outputs), "linear_backward_bias", "dy [T, N], dbias [N]", {
    dy,
    dbias,
  });
  rec.dispatch(linear, "linear_backward_bias", {
    params: { rows, outputs },
    buffers: { dy, dbias },
    workgroups: [Math.ceil(outputs / BIAS_COLUMNS)],
  });
}
