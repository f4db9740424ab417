import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import scale from "../../shaders/lib/matrix-scale.wgsl" with { type: "text" };
import sigmoid from "../../shaders/lib/sigmoid.wgsl" with { type: "text" };
import source from "../../shaders/swiglu-pack.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { DType, Tensor } from "../gpu/tensor.ts";
import type { Workspace } from "../gpu/workspace.ts";
import { check, hasShape } from "./check.ts";
import { COMPONENTS, emptyRows, SharedRows } from "./linear-pack.ts";
import { swigluBackward } from "./swiglu.ts";

const kernelOf = (text: string) =>
  defineKernel({ name: "swiglu-pack", source, includes: [text, scale, exp, index, sigmoid] });
/** By what operands are rounded to. */
export const swigluPacks = { f16: kernelOf(COMPONENTS.f16.text), f32: kernelOf(COMPONENTS.f32.text) };

/** Whether swigluBackwardRows makes the activation anew from what is kept of it, gate and up in `storage`. */
export const makesActivation = ({ matrices }: Workspace, storage: DType): boolean =>
  matrices !== null && storage === "bf16";

/**
 * swigluBackward's dgate and dup (kernels/swiglu.ts) for the products that read them, and where makesActivation the activation y, which
 * is null elsewhere: there as their octets alone. To be given back with releaseAll.
 */
export function swigluBackwardRows(
  rec: Recorder,
  { gate, up, dy }: { gate: Tensor; up: Tensor; dy: Tensor },
): { dgate: SharedRows; dup: SharedRows; y: SharedRows | null } {
  const { gpu } = rec;
  const [rows = 0, columns = 0] = gate.shape;
  if (!gpu.matrices || !makesActivation(gpu, gate.dtype)) {
    const [dgate, dup] = [gpu.empty(gate.shape, "f32"), gpu.empty(gate.shape, "f32")];
    swigluBackward(rec, { gate, up, dy, dgate, dup });
    return { dgate: new SharedRows(dgate), dup: new SharedRows(dup), y: null };
  }
  const ok = [gate, up, dy].every((tensor) => hasShape(tensor, rows, columns)) && columns % 2 === 0;
  check(ok, "swiglu_pack_backward", "gate, up, dy [T, I] with even I", { gate, up, dy });
  const { component } = gpu.matrices;
  const empty = () => emptyRows(rec, component, gate.shape);
  const [ofGate, ofUp, ofY] = [empty(), empty(), empty()];
  rec.dispatch(swigluPacks[component], "swiglu_pack_backward", {
    params: { rows, pairs: columns / 2 },
    buffers: {
      gate,
      up,
      dy,
      packed_gate: ofGate.packed,
      exponents_gate: ofGate.exponents,
      packed_up: ofUp.packed,
      exponents_up: ofUp.exponents,
      packed_y: ofY.packed,
      exponents_y: ofY.exponents,
    },
    workgroups: [rows],
  });
  const rowsOf = (octets: typeof ofGate) => new SharedRows(null, gate.shape, octets);
  return { dgate: rowsOf(ofGate), dup: rowsOf(ofUp), y: rowsOf(ofY) };
}
