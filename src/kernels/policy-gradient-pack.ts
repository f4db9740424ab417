import dlogit from "../../shaders/lib/dlogit.wgsl" with { type: "text" };
import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import scale from "../../shaders/lib/matrix-scale.wgsl" with { type: "text" };
import source from "../../shaders/policy-gradient-pack.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Matrices } from "../gpu/tier.ts";
import { COMPONENTS, emptyRows, SharedRows } from "./linear-pack.ts";

const kernelOf = (text: string) =>
  defineKernel({ name: "policy-gradient-pack", source, includes: [text, scale, exp, index, dlogit] });
/** By what operands are rounded to. */
export const policyGradientPacks = { f16: kernelOf(COMPONENTS.f16.text), f32: kernelOf(COMPONENTS.f32.text) };

/**
 * The gradient of a chunk of the logits, f32 [T, columns], for the products that read it, as octets alone. To be given back with
 * releaseAll.
 */
export function packedDlogits(
  rec: Recorder,
  { component }: Matrices,
  { logits, ...perRow }: { logits: Tensor; targets: Tensor; lse: Tensor; coefficient: Tensor },
  params: { rows: number; columns: number; column0: number; inverse_temperature: number },
): SharedRows {
  const octets = emptyRows(rec, component, logits.shape);
  rec.dispatch(policyGradientPacks[component], "policy_gradient_pack", {
    params,
    buffers: { logits, ...perRow, ...octets },
    workgroups: [params.rows],
  });
  return new SharedRows(null, logits.shape, octets);
}
