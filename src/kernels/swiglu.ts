import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import sigmoid from "../../shaders/lib/sigmoid.wgsl" with { type: "text" };
import source from "../../shaders/swiglu.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";

const swiglu = defineKernel({ name: "swiglu", source, includes: [exp, index, sigmoid] });

const GROUP_PAIRS = 64;

/** y f32 = silu(gate) up (Shazeer 2020), gate and up elem, all [T, I] with even I. Overwrites y. */
export function swigluForward(rec: Recorder, { gate, up, y }: { gate: Tensor; up: Tensor; y: Tensor }): void {
  const ok = [up, y].every((tensor) => hasShape(tensor, ...gate.shape)) && gate.size % 2 === 0;
  check(ok, "swiglu_forward", "gate, up, y [T, I] with even I", { gate, up, y });
  const pairs = gate.size / 2;
  rec.dispatch(swiglu, "swiglu_forward", {
    params: { pairs },
    buffers: { gate, up, y },
    workgroups: [Math.ceil(pairs / GROUP_PAIRS)],
  });
}

/** Overwrites dgate and dup, f32 [T, I], from gate and up, elem [T, I], and dy, f32 [T, I]. */
export function swigluBackward(
  rec: Recorder,
  { gate, up, dy, dgate, dup }: { gate: Tensor; up: Tensor; dy: Tensor; dgate: Tensor; dup: Tensor },
): void {
  const ok = [up, dy, dgate, dup].every((tensor) => hasShape(tensor, ...gate.shape)) && gate.size % 2 === 0;
  check(ok, "swiglu_backward", "gate, up, dy, dgate, dup [T, I] with even I", { gate, up, dy, dgate, dup });
  const pairs = gate.size / 2;
  rec.dispatch(swiglu, "swiglu_backward", {
    params: { pairs },
    buffers: { gate, up, dy, dgate, dup },
    workgroups: [Math.ceil(pairs / GROUP_PAIRS)],
  });
}
