import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { attentionForward } from "../kernels/attention.ts";
import { embeddingBackward, embeddingForward } from "../kernels/embedding.ts";
import { kvPack } from "../kernels/kv-cache.ts";
import { rmsnormBackward, rmsnormForward } from "../kernels/rmsnorm.ts";
import type { DeviceBatch } from "./batch.ts";
import {
  layerActivations,
  layerBackward,
  layerForward,
  releaseActivations,
  type Attend,
  type LayerActivations,
} from "./layer.ts";
import type { Model } from "./model.ts";

/** A forward pass kept for its backward pass. */
export interface Trace {
  /** Final hidden states after the last norm, f32 [T, C]. */
  hidden: Tensor;
  rstd: Tensor;
  /** The residual stream that the last norm read, f32 [T, C]. */
  last: Tensor;
  /** With recomputation only a layer's input is kept. */
  layers: (LayerActivations | Tensor)[];
}

/** Embedding of `ids`, f32 [T, C]: the start of the residual stream. */
export function embed(rec: Recorder, model: Model, ids: Tensor): Tensor {
  const out = rec.gpu.empty([ids.size, model.config.hiddenSize], "f32");
  embeddingForward(rec, { ids, weight: model.parameter("model.embed_tokens.weight"), out });
  return out;
}

/** The last norm: residual stream f32 [T, C] to the hidden states that the head reads, f32 [T, C]. */
export function finalNorm(rec: Recorder, model: Model, x: Tensor): { hidden: Tensor; rstd: Tensor } {
  const hidden = rec.gpu.empty(x.shape, "f32");
  const rstd = rec.gpu.empty([x.shape[0]!], "f32");
  rmsnormForward(rec, {
    x,
    weight: model.parameter("model.norm.weight"),
    y: hidden,
    rstd,
    eps: model.config.rmsNormEps,
  });
  return { hidden, rstd };
}

const packedAttention =
  (rec: Recorder, model: Model, starts: Tensor): Attend =>
  ({ q, k, v, out }) => {
    const kPacked = rec.gpu.empty(k.shape, model.storage);
    const vPacked = rec.gpu.empty(v.shape, model.storage);
    const lse = rec.gpu.empty([q.shape[0]!, q.shape[1]!], "f32");
    kvPack(rec, { k, v, kPacked, vPacked });
    const scale = 1 / Math.sqrt(model.config.headDim);
    attentionForward(rec, { q, k: kPacked, v: vPacked, starts, out, lse, scale });
    return { kPacked, vPacked, lse };
  };

/** The residual stream after all layers, f32 [T, C]. `keep` takes each layer's activations, and releases what it does not keep. */
function layersForward(
  rec: Recorder,
  model: Model,
  batch: DeviceBatch,
  isTraced: boolean,
  keep: (activations: LayerActivations) => void,
): Tensor {
  const attend = packedAttention(rec, model, batch.starts);
  const rope = model.rope(batch.maxLength);
  const { positions } = batch;
  let x = embed(rec, model, batch.ids);
  for (let layer = 0; layer < model.config.numLayers; layer++) {
    const { output, activations } = layerForward(rec, model, layer, { input: x, positions, rope, attend, isTraced });
    keep(activations);
    x = output;
  }
  return x;
}

/** Final hidden states of a packed batch, f32 [T, C]. Keeps nothing else. */
export function forward(rec: Recorder, model: Model, batch: DeviceBatch): Tensor {
  const x = layersForward(rec, model, batch, false, (activations) => releaseActivations(rec, activations));
  const { hidden, rstd } = finalNorm(rec, model, x);
  rec.gpu.release(x, rstd);
  return hidden;
}

/** The same, with what backward needs; `recompute` keeps one tensor a layer and runs each layer a second time in backward. */
export function forwardWithTrace(
  rec: Recorder,
  model: Model,
  batch: DeviceBatch,
  { recompute }: { recompute: boolean },
): Trace {
  const layers: Trace["layers"] = [];
  const x = layersForward(rec, model, batch, !recompute, (activations) => {
    if (!recompute) {
      layers.push(activations);
      return;
    }
    const { input, ...rest } = activations;
    releaseActivations(rec, rest);
    layers.push(input);
  });
  return { ...finalNorm(rec, model, x), last: x, layers };
}

/**
 * Adds the gradients of the parameters that `grads` has to it, given that with respect to the hidden states, f32 [T, C].
 * Releases `dhidden` and the trace. `links`, u32 [T], is linkOccurrences of the batch's ids (kernels/embedding.ts).
 */
export function backward(
  rec: Recorder,
  model: Model,
  batch: DeviceBatch,
  trace: Trace,
  dhidden: Tensor,
  grads: ReadonlyMap<string, Tensor>,
  links: Tensor,
): void {
  const { gpu } = rec;
  const rope = model.rope(batch.maxLength);
  const dx = gpu.empty(dhidden.shape, "f32");
  rmsnormBackward(rec, {
    x: trace.last,
    weight: model.parameter("model.norm.weight"),
    rstd: trace.rstd,
    dy: dhidden,
    dx,
    dweight: grads.get("model.norm.weight"),
    accumulate: false,
  });
  gpu.release(dhidden, trace.hidden, trace.rstd, trace.last);
  for (let layer = model.config.numLayers - 1; layer >= 0; layer--) {
    const saved = recomputed(rec, model, batch, layer, trace.layers[layer]!, rope);
    layerBackward(rec, model, layer, { saved, dx, batch, rope, grads });
    releaseActivations(rec, saved);
  }
  const dweight = grads.get("model.embed_tokens.weight");
  if (dweight) embeddingBackward(rec, { ids: batch.ids, links, dout: dx, dweight });
  gpu.release(dx);
}

function recomputed(
  rec: Recorder,
  model: Model,
  batch: DeviceBatch,
  layer: number,
  kept: LayerActivations | Tensor,
  rope: Tensor,
): LayerActivations {
  if ("input" in kept) return kept;
  const attend = packedAttention(rec, model, batch.starts);
  return layerActivations(rec, model, layer, { input: kept, positions: batch.positions, rope, attend, isTraced: true });
}
