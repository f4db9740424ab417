import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import reduce from "../../shaders/lib/reduce.wgsl" with { type: "text" };
import shared from "../../shaders/lib/softmax.wgsl" with { type: "text" };
import subgroupSource from "../../shaders/softmax-subgroup.wgsl" with { type: "text" };
import source from "../../shaders/softmax.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";

const baseline = defineKernel({ name: "softmax", source, includes: [exp, index, reduce, shared] });
const subgroup = defineKernel({ name: "softmax-subgroup", source: subgroupSource, includes: [exp, index, shared] });

/** Invocations that share a row in a subgroup. */
const ROW_LANES = 8;

/**
 * y f32 [T, C] = softmax of the rows of x f32 [T, C], C a multiple of 4. Overwrites y. The engine
 * has no use for it: it stays for `npm run bench:peers` and the page, as one of the few kernels that every peer has too.
 */
export function softmaxForward(rec: Recorder, { x, y }: { x: Tensor; y: Tensor }): void {
  const [rows = 0, columns = 0] = x.shape;
  const ok = hasShape(x, rows, columns) && hasShape(y, rows, columns) && columns % 4 === 0;
  check(ok, "softmax_forward", "x, y [T, C] with C a multiple of 4", { x, y });
  const { tier, info } = rec.gpu;
  const work = { params: { rows, columns }, buffers: { x, y } };
  if (tier === "baseline") {
    rec.dispatch(baseline, "softmax_forward", { ...work, workgroups: [rows] });
  } else {
    const lanes = info.subgroupMinSize;
    const workgroups = [Math.ceil((rows * ROW_LANES) / lanes)] as const;
    rec.dispatch(subgroup, "softmax_forward", { ...work, workgroups, constants: { LANES: lanes } });
  }
}
