import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import rotation from "../../shaders/lib/rotate.wgsl" with { type: "text" };
import source from "../../shaders/rope.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";

const kernel = defineKernel({ name: "rope", source, includes: [index, rotation] });

const GROUP = 64;
/** Elements of a head's first half that an invocation rotates (shaders/rope.wgsl). */
const STEPS = 4;

/**
 * Rotates queries q f32 [T, H, D] and keys k f32 [T, G, D] in place by positions u32 [T]; `table` f32 [P, D] is ropeTable(),
 * P above every position.
 */
export function ropeForward(
  rec: Recorder,
  { q, k, positions, table }: { q: Tensor; k: Tensor; positions: Tensor; table: Tensor },
): void {
  rotate(rec, "rope_forward", q, k, positions, table, 1);
}

/** Turns dq f32 [T, H, D] and dk f32 [T, G, D], gradients of ropeForward's output, in place into those of its input. */
export function ropeBackward(
  rec: Recorder,
  { dq, dk, positions, table }: { dq: Tensor; dk: Tensor; positions: Tensor; table: Tensor },
): void {
  rotate(rec, "rope_backward", dq, dk, positions, table, -1);
}

function rotate(
  rec: Recorder,
  op: string,
  q: Tensor,
  k: Tensor,
  positions: Tensor,
  table: Tensor,
  direction: 1 | -1,
): void {
  const [tokens = 0, heads = 0, headDim = 0] = q.shape;
  const [, kvHeads = 0] = k.shape;
  const ok =
    q.shape.length === 3 &&
    headDim % 2 === 0 &&
    hasShape(k, tokens, kvHeads, headDim) &&
    hasShape(positions, tokens) &&
    hasShape(table, table.shape[0]!, headDim);
  check(ok, op, "q [T, H, D], k [T, G, D] with even D, positions [T], table [P, D]", { q, k, positions, table });
  const half = headDim / 2;
  rec.dispatch(kernel, "rope", {
    params: { tokens, heads, kv_heads: kvHeads, half, direction },
    buffers: { q, k, positions, table },
    cost: { flops: 3 * (q.size + k.size), bytes: 2 * (q.byteLength + k.byteLength) + 4 * tokens * headDim },
    workgroups: [Math.ceil((tokens * (heads + kvHeads) * Math.ceil(half / STEPS)) / GROUP)],
  });
}
