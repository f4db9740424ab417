import gradient from "../../shaders/lib/attention-octets-gradient.wgsl" with { type: "text" };
import gradientPairs from "../../shaders/lib/attention-octets-gradient-pairs.wgsl" with { type: "text" };
import source from "../../shaders/attention-lanes-backward.wgsl" with { type: "text" };
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { asRead, isOdd, lanesKernel, loopsOf, shapeOf, tileGroups } from "./attention-lanes.ts";

/** Rows of heads that a row of lanes works the delta out of. */
const DELTA_ROWS = 8;

/** What attentionBackward works on. */
export interface AttentionGradients {
  q: Tensor;
  k: Tensor;
  v: Tensor;
  out: Tensor;
  dout: Tensor;
  lse: Tensor;
  starts: Tensor;
  ends: Tensor;
  delta: Tensor;
  dq: Tensor;
  dk: Tensor;
  dv: Tensor;
  scale: number;
}

/** attentionBackward (kernels/attention.ts, which checks the shapes) with a row spread over the lanes of a GPU. */
export function backwardOnLanes(
  rec: Recorder,
  { q, k, v, out, dout, lse, starts, ends, delta, dq, dk, dv, scale }: AttentionGradients,
): void {
  const { gpu } = rec;
  const [rows = 0, heads = 0, headDim = 0] = q.shape;
  const kvHeads = k.shape[1]!;
  const shape = shapeOf(gpu, headDim, Infinity);
  const rowsOfLanes = shape.threads / shape.lanes;
  const more = [isOdd(headDim) ? gradientPairs : gradient];
  const kernel = lanesKernel(gpu, k, shape, { name: "attention-lanes-backward", source, more });
  const params = { rows, heads, kv_heads: kvHeads, scale, ...loopsOf(shape) };
  const keys = { all_k: asRead(k), all_v: asRead(v) };
  const saved = { saved_lse: lse, saved_delta: delta };
  rec.dispatch(kernel, "attention_delta", {
    params,
    buffers: { all_dout: dout, all_out: out, delta },
    workgroups: [Math.ceil((rows * heads) / (rowsOfLanes * DELTA_ROWS))],
  });
  rec.dispatch(kernel, "attention_dq", {
    params,
    buffers: { all_q: q, ...keys, all_dout: dout, ...saved, starts, dq },
    workgroups: tileGroups(shape, rows, heads, kvHeads),
  });
  rec.dispatch(kernel, "attention_dkv", {
    params,
    buffers: { all_q: q, ...keys, all_dout: dout, ...saved, ends, dk, dv },
    workgroups: [Math.ceil(rows / (rowsOfLanes * shape.queries)), kvHeads],
  });
}
