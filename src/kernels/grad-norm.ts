import source from "../../shaders/grad-norm.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check, hasShape } from "./check.ts";
import { elementWindows } from "./windows.ts";

const gradNorm = defineKernel({ name: "grad-norm", source, includes: [index] });

const CHUNK = 8192;

/** How many partial sums globalNorm needs for gradients of these sizes. */
export const partialSums = (sizes: readonly number[]): number =>
  sizes.reduce((sum, size) => sum + Math.ceil(size / CHUNK), 0);

/** Sums of squares of 8,192 elements of `grads` (f32) at a time, into `partials` f32 from its element `first` on. */
export function squaredSums(
  rec: Recorder,
  { grads, partials, first = 0 }: { grads: readonly Tensor[]; partials: Tensor; first?: number },
): void {
  const end = first + partialSums(grads.map((grad) => grad.size));
  check(partials.size >= end, "grad_norm", `partials [at least ${end}]`, { partials });
  for (const { part: grad } of grads.flatMap((whole) => [...elementWindows(rec.gpu, whole)])) {
    const chunks = Math.ceil(grad.size / CHUNK);
    rec.dispatch(gradNorm, "grad_norm_partial", {
      params: { size: grad.size, first },
      buffers: { grad, partials },
      workgroups: [chunks],
    });
    first += chunks;
  }
}

/** From `count` such sums to globalNorm's `out`. */
export function normOfSums(
  rec: Recorder,
  { partials, count, out, maxNorm }: { partials: Tensor; count: number; out: Tensor; maxNorm: number },
): void {
  check(hasShape(out, 2), "grad_norm", "out [2]", { out });
  rec.dispatch(gradNorm, "grad_norm_finish", {
    params: { size: count, max_norm: maxNorm },
    buffers: { sums: partials, out },
    workgroups: [1],
  });
}

/**
 * out f32 [2] = [norm, min(1, maxNorm / (norm + 1e-6))], the L2 norm over all of `grads` (f32) together and the factor
 * that clips it, as in torch.nn.utils.clip_grad_norm_. Overwrites out and partials, f32 of at least partialSums(sizes).
 */
export function globalNorm(
  rec: Recorder,
  { grads, partials, out, maxNorm }: { grads: Tensor[]; partials: Tensor; out: Tensor; maxNorm: number },
): void {
  squaredSums(rec, { grads, partials });
  normOfSums(rec, { partials, count: partialSums(grads.map((grad) => grad.size)), out, maxNorm });
}
