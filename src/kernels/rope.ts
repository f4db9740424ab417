import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import source from "../../shaders/rope.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";

const kernel = defineKernel({ name: "rope", source, includes: [index] });

const GROUP = 64;

/** Rotates x f32 [T, H, D] in place by positions u32 [T]; `table` f32 [P, D] is ropeTable(), P above every position. */
export function ropeForward(
  rec: Recorder,
  { x, positions, table }: { x: Tensor; positions: Tensor; table: Tensor },
): void {
  rotate(rec, "rope_forward", x, positions, table, 1);
}

/** Turns the gradient dx f32 [T, H, D] with respect to ropeForward's output, in place, into that with respect to its input. */
export function ropeBackward(
  rec: Recorder,
  { dx, positions, table }: { dx: Tensor; positions: Tensor; table: Tensor },
): void {
  rotate(rec, "rope_backward", dx, positions, table, -1);
}

function rotate(rec: Recorder, op: string, x: Tensor, positions: Tensor, table: Tensor, direction: 1 | -1): void {
  const [tokens = 0, perToken = 0, headDim = 0] = x.shape;
  const ok =
    x.shape.length === 3 &&
    headDim % 2 === 0 &&
    hasShape(positions, tokens) &&
    hasShape(table, table.shape[0]!, headDim);
  check(ok, op, "x [T, H, D] with even D, positions [T], table [P, D]", { x, positions, table });
  rec.dispatch(kernel, "rope", {
    params: { heads: tokens * perToken, per_token: perToken, half: headDim / 2, direction },
    buffers: { x, positions, table },
    workgroups: [Math.ceil(x.size / 2 / GROUP)],
  });
}
