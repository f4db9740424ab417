import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import shared from "../../shaders/lib/linear.wgsl" with { type: "text" };
import tile from "../../shaders/lib/linear-tile.wgsl" with { type: "text" };
import sigmoid from "../../shaders/lib/sigmoid.wgsl" with { type: "text" };
import subgroupSource from "../../shaders/linear-subgroup.wgsl" with { type: "text" };
import source from "../../shaders/linear.wgsl" with { type: "text" };
import type { Workspace } from "../gpu/workspace.ts";
import { defineKernel, type Kernel } from "../gpu/kernel.ts";
import { hasManyRegisters } from "../gpu/registers.ts";
import type { Dispatch, Recorder } from "../gpu/recorder.ts";
import { productCost } from "./linear-cost.ts";
import type { DType, Storage, Tensor } from "../gpu/tensor.ts";
import { check, hasShape, type Shaped } from "./check.ts";
import { multiplyRows, multiplyTerms } from "./linear-matrix.ts";
import { SharedRows } from "./linear-pack.ts";
import { rowWindows } from "./windows.ts";

const BIAS_COLUMNS = 8;

/** A kernel of the three products, the rows and columns that a workgroup of it computes, and its constants. */
interface Variant {
  kernel: Kernel;
  rows: number;
  columns: number;
  constants?: Record<string, number>;
}

const includes = [exp, sigmoid, shared];
const baseline = defineKernel({ name: "linear", source, includes });
const subgroup = (loads: number) =>
  defineKernel({
    name: "linear-subgroup",
    source: subgroupSource,
    includes: [...includes, `const LOADS = ${loads}u;`, tile],
  });
const [rows8, rows16] = [subgroup(1), subgroup(2)];

/** For products in f32: rounding operands to f16, as matrices want them, would not do for a model in float32. */
function variant({ tier, info }: Workspace): Variant {
  if (tier === "baseline") return { kernel: baseline, rows: 32, columns: 64 };
  const lanes = info.subgroupMinSize;
  const tile = hasManyRegisters(info) ? { kernel: rows16, rows: 16 } : { kernel: rows8, rows: 8 };
  return { ...tile, columns: 4 * lanes, constants: { LANES: lanes } };
}

/** The subgroup matrices for a layer with this weight, null where its products are to be in f32. */
const matricesFor = ({ gpu: { matrices } }: Recorder, storage: DType) => (storage === "bf16" ? matrices : null);

/** Rows that several products read: give them to each instead of the tensor, then `release` them (kernels/linear-pack.ts). */
export { SharedRows };

const sourceOf = (x: Tensor | SharedRows): Tensor => SharedRows.of(x).source;

/** Records one of the products in f32; `rows` and `columns` are those of its result. */
function dispatchProduct(
  rec: Recorder,
  entryPoint: string,
  { rows, columns, params, buffers }: { rows: number; columns: number } & Pick<Dispatch, "params" | "buffers">,
): void {
  const { kernel, constants, ...tile } = variant(rec.gpu);
  rec.dispatch(kernel, entryPoint, {
    params,
    buffers,
    constants,
    cost: productCost(params!, buffers),
    workgroups: [Math.ceil(columns / tile.columns), Math.ceil(rows / tile.rows)],
  });
}

/**
 * y f32 [T, N] = scale x f32 [T, K] W[N, K]^T, plus bias [N] and residual f32 [T, N] where given; W and bias are elem.
 * Overwrites y, which is another tensor than residual. K and N are even; `scale` is 1 by default.
 */
export function linearForward(
  rec: Recorder,
  {
    x,
    weight,
    bias,
    residual,
    y,
    scale = 1,
  }: { x: Tensor | SharedRows; weight: Tensor; bias?: Tensor; residual?: Tensor; y: Tensor; scale?: number },
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
  const params = { rows, inputs, outputs, row0: 0, has_bias: bias ? 1 : 0, has_residual: residual ? 1 : 0, scale };
  // A binding must hold some tensor even where it is not read.
  const buffers = { bias: bias ?? weight, residual: residual ?? SharedRows.of(x).anyTensor, y };
  const matrices = matricesFor(rec, weight.dtype);
  if (matrices) multiplyRows(rec, matrices, "linear_forward", { left: x, weight, columns: outputs, params, buffers });
  else {
    const operands = { x: sourceOf(x), weight };
    dispatchProduct(rec, "linear_forward", { rows, columns: outputs, params, buffers: { ...operands, ...buffers } });
  }
}

/**
 * The first half of a gated MLP in one pass: y f32 [T, I] = silu(gate) up (Shazeer 2020) with gate = x Wgate^T and up = x Wup^T,
 * from x f32 [T, K] and elem [I, K] weights. Overwrites those that are given of y, and gate and up elem [T, I], for the backward pass:
 * linearForward's, rounded to elem, which y is not made from. K and I are even.
 */
export function linearSwiglu(
  rec: Recorder,
  {
    x,
    gateWeight,
    upWeight,
    gate,
    up,
    y,
  }: {
    x: Tensor | SharedRows;
    gateWeight: Tensor;
    upWeight: Tensor;
    gate?: Tensor;
    up?: Tensor;
    y?: Tensor | undefined;
  },
): void {
  const { gpu } = rec;
  const [rows = 0, inputs = 0] = x.shape;
  const [outputs = 0] = gateWeight.shape;
  const ok =
    hasShape(x, rows, inputs) &&
    [gateWeight, upWeight].every((tensor) => hasShape(tensor, outputs, inputs)) &&
    [gate, up, y].every((tensor) => hasShape(tensor, rows, outputs)) &&
    !gate === !up &&
    inputs % 2 === 0 &&
    outputs % 2 === 0;
  const expected = "x [T, K], gateWeight, upWeight [I, K], gate, up, y [T, I] with even K and I";
  check(ok, "linear_swiglu", expected, { x, gateWeight, upWeight, gate, up, y });
  const params = { rows, inputs, outputs, row0: 0, is_kept: gate ? 1 : 0, is_wanted: y ? 1 : 0 };
  const columns = 2 * outputs;
  // A binding must hold some tensor even where it is not written.
  const unkept: Tensor[] = [];
  const kept = (tensor: Tensor | undefined, dtype: Storage): Tensor => {
    if (!tensor) unkept.push(gpu.empty([2], dtype));
    return tensor ?? unkept.at(-1)!;
  };
  const storage = gateWeight.dtype as Storage;
  const buffers = { gate: kept(gate, storage), up: kept(up, storage), y: kept(y, "f32") };
  const matrices = matricesFor(rec, gateWeight.dtype);
  if (matrices) {
    multiplyRows(rec, matrices, "linear_swiglu", { left: x, weight: gateWeight, upWeight, columns, params, buffers });
  } else {
    const weights = { weight: gateWeight, up_weight: upWeight };
    dispatchProduct(rec, "linear_swiglu", {
      rows,
      columns,
      params,
      buffers: { x: sourceOf(x), ...weights, ...buffers },
    });
  }
  gpu.release(...unkept);
}

/**
 * logits f32 [T, rows] = x f32 [T, K] W[row0 : row0 + rows]^T: one chunk of the vocabulary of the head W [V, K].
 * Overwrites logits. K is even; V and rows may be odd. A W that the adapter cannot bind whole may have any number of rows if
 * the chunk has few.
 */
export function linearLogits(
  rec: Recorder,
  {
    x: left,
    weight,
    row0,
    rows,
    logits,
  }: { x: Tensor | SharedRows; weight: Tensor; row0: number; rows: number; logits: Tensor },
): void {
  const x = sourceOf(left);
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
  const chunk = chunkOf(rec, weight, row0, rows);
  for (const { first, part } of rowWindows(rec.gpu, chunk.part)) {
    const outputs = part === weight ? rows : part.shape[0]!;
    const params = { rows: tokens, inputs, outputs, row0: chunk.row0, stride: rows, column0: first };
    const matrices = matricesFor(rec, weight.dtype);
    if (matrices) {
      multiplyRows(rec, matrices, "linear_logits", {
        left,
        weight: part,
        columns: outputs,
        params,
        buffers: { logits },
      });
    } else {
      const buffers = { x, weight: part, logits };
      dispatchProduct(rec, "linear_logits", { rows: tokens, columns: outputs, params, buffers });
    }
  }
}

/** Rows row0 .. row0 + rows of a weight for a kernel: the weight itself, or where the adapter cannot bind it those rows alone. */
function chunkOf({ gpu }: Recorder, weight: Tensor, row0: number, rows: number): { part: Tensor; row0: number } {
  return weight.byteLength <= gpu.maxBindingSize ? { part: weight, row0 } : { part: weight.rows(row0, rows), row0: 0 };
}

/**
 * dx f32 [T, K] = scale dy f32 [T, N] W[row0 : row0 + N], added to what dx holds if `accumulate`, otherwise overwritten;
 * `scale` is 1 by default. W is elem [V >= row0 + N, K]; `row0` (default 0) is for chunks of the vocabulary. K is even, N may be odd.
 */
export function linearBackwardInput(
  rec: Recorder,
  {
    dy,
    weight,
    dx,
    accumulate,
    row0 = 0,
    scale = 1,
  }: {
    dy: Tensor | SharedRows;
    weight: Tensor;
    dx: Tensor;
    accumulate: boolean;
    row0?: number;
    scale?: number;
  },
): void {
  const [rows, inputs, outputs] = backwardShape("linear_backward_input", dx, dy, weight, row0, { dy, weight, dx });
  const chunk = chunkOf(rec, weight, row0, outputs);
  const params = { rows, inputs, outputs, row0: chunk.row0, accumulate: accumulate ? 1 : 0, scale };
  const matrices = matricesFor(rec, weight.dtype);
  if (matrices) {
    multiplyRows(rec, matrices, "linear_backward_input", {
      left: dy,
      weight: chunk.part,
      columns: inputs,
      params,
      buffers: { dx },
    });
  } else {
    dispatchProduct(rec, "linear_backward_input", {
      rows,
      columns: inputs,
      params,
      buffers: { dy: sourceOf(dy), weight: chunk.part, dx },
    });
  }
}

/**
 * dweight[row0 : row0 + N] += dy^T x, with x f32 [T, K], dy f32 [T, N] and dweight f32 [V >= row0 + N, K].
 * K is even, N may be odd. `storage` (default f32) is what the weight is stored as: for bf16, the tier "matrices"
 * rounds x and dy to f16, each row scaled by a power of two.
 */
export function linearBackwardWeight(
  rec: Recorder,
  {
    x,
    dy,
    dweight,
    row0 = 0,
    storage = "f32",
  }: { x: Tensor | SharedRows; dy: Tensor | SharedRows; dweight: Tensor; row0?: number; storage?: DType },
): void {
  const [rows, inputs, outputs] = backwardShape("linear_backward_weight", x, dy, dweight, row0, { x, dy, dweight });
  const chunk = chunkOf(rec, dweight, row0, outputs);
  const params = { rows, inputs, outputs, row0: chunk.row0 };
  const matrices = matricesFor(rec, storage);
  if (matrices) multiplyTerms(rec, matrices, { x, dy, dweight: chunk.part, params });
  else
    dispatchProduct(rec, "linear_backward_weight", {
      rows: outputs,
      columns: inputs,
      params,
      buffers: { x: sourceOf(x), dy: sourceOf(dy), dweight: chunk.part },
    });
}

function backwardShape(
  op: string,
  x: Shaped,
  dy: Shaped,
  weight: Shaped,
  row0: number,
  tensors: Record<string, Shaped>,
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
  rec.dispatch(baseline, "linear_backward_bias", {
    params: { rows, outputs },
    buffers: { dy, dbias },
    workgroups: [Math.ceil(outputs / BIAS_COLUMNS)],
  });
}
