import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { linearBackwardInput, linearBackwardWeight, linearForward, SharedRows } from "../kernels/linear.ts";

/** What stands beside a frozen linear layer W [N, K]: y = W x + scale B A x. */
export interface Adapter {
  /** elem [r, K] */
  a: Tensor;
  /** elem [N, r] */
  b: Tensor;
  scale: number;
}

/** Gradients of an adapter's tensors, f32, added to. */
export interface AdapterGradients {
  a: Tensor;
  b: Tensor;
}

/** scale A x, f32 [T, r]: the scale is here because nothing is added to this product, which could round the two together. */
function project(rec: Recorder, { a, scale }: Adapter, x: Tensor | SharedRows): Tensor {
  const hidden = rec.gpu.empty([x.shape[0]!, a.shape[0]!], "f32");
  linearForward(rec, { x, weight: a, y: hidden, scale });
  return hidden;
}

/** scale B A x of x f32 [T, K], plus `residual` f32 [T, N] where given: what the layer adds to its own product, f32 [T, N]. */
export function adapterForward(rec: Recorder, adapter: Adapter, x: SharedRows, residual?: Tensor): Tensor {
  const { b } = adapter;
  const hidden = project(rec, adapter, x);
  const out = rec.gpu.empty([hidden.shape[0]!, b.shape[0]!], "f32");
  linearForward(rec, { x: hidden, weight: b, residual, y: out });
  rec.gpu.release(hidden);
  return out;
}

/**
 * Adds to `grads`, and to dx f32 [T, K] the adapter's share, from dy f32 [T, N]. A x is computed again, which is less than keeping
 * it for every layer would take.
 */
export function adapterBackward(
  rec: Recorder,
  adapter: Adapter,
  { x, dy, dx, grads }: { x: Tensor | SharedRows; dy: Tensor | SharedRows; dx: Tensor; grads: AdapterGradients },
): void {
  const { a, b, scale } = adapter;
  const hidden = project(rec, adapter, x);
  linearBackwardWeight(rec, { x: hidden, dy, dweight: grads.b, storage: b.dtype });
  const dhidden = rec.gpu.empty(hidden.shape, "f32");
  linearBackwardInput(rec, { dy, weight: b, dx: dhidden, accumulate: false, scale });
  linearBackwardWeight(rec, { x, dy: dhidden, dweight: grads.a, storage: a.dtype });
  linearBackwardInput(rec, { dy: dhidden, weight: a, dx, accumulate: true });
  rec.gpu.release(hidden, dhidden);
}
