import type { Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { handOver } from "../gpu/split-gpu.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { attentionForward } from "../kernels/attention.ts";
import { embeddingBackward, embeddingForward } from "../kernels/embedding.ts";
import { kvPack } from "../kernels/kv-cache.ts";
import { rmsnormBackward, rmsnormForward } from "../kernels/rmsnorm.ts";
import type { Batch, DeviceBatch } from "./batch.ts";
import {
  layerActivations,
  layerBackward,
  layerForward,
  releaseActivations,
  type Attend,
  type LayerActivations,
} from "./layer.ts";
import { deviceOf, EMBEDDING, type Model } from "./model.ts";

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
  embeddingForward(rec, { ids, weight: model.parameter(EMBEDDING), out });
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

/**
 * The residual stream after all layers, f32 [T, C], on the last one's device. `keep` takes each layer's activations, and releases
 * what it does not keep.
 */
async function layersForward(
  gpu: Gpu,
  model: Model,
  batch: Batch,
  isTraced: boolean,
  keep: (rec: Recorder, activations: LayerActivations) => void,
): Promise<Tensor> {
  let here = deviceOf(gpu, model.config, EMBEDDING);
  let x = embed(here.recorder(), model, batch.get(here)!.ids);
  for (let layer = 0; layer < model.config.numLayers; layer++) {
    const next = gpu.at(layer);
    const input = await handOver(x, here, next);
    here = next;
    const rec = here.recorder();
    const { positions, starts, maxLength } = batch.get(here)!;
    const attend = packedAttention(rec, model, starts);
    const rope = model.rope(maxLength, layer);
    const { output, activations } = layerForward(rec, model, layer, { input, positions, rope, attend, isTraced });
    keep(rec, activations);
    x = output;
  }
  return x;
}

/** Final hidden states of a packed batch, f32 [T, C], on the last device. Keeps nothing else. */
export async function forward(gpu: Gpu, model: Model, batch: Batch): Promise<Tensor> {
  const x = await layersForward(gpu, model, batch, false, releaseActivations);
  const { hidden, rstd } = finalNorm(gpu.recorder(), model, x);
  gpu.release(x, rstd);
  return hidden;
}

/** The same, with what backward needs; `recompute` keeps one tensor a layer and runs each layer a second time in backward. */
export async function forwardWithTrace(
  gpu: Gpu,
  model: Model,
  batch: Batch,
  { recompute }: { recompute: boolean },
): Promise<Trace> {
  const layers: Trace["layers"] = [];
  const x = await layersForward(gpu, model, batch, !recompute, (rec, activations) => {
    if (!recompute) {
      layers.push(activations);
      return;
    }
    const { input, ...rest } = activations;
    releaseActivations(rec, rest);
    layers.push(input);
  });
  return { ...finalNorm(gpu.recorder(), model, x), last: x, layers };
}

/**
 * Adds the gradients of the parameters that `grads` has to it, given that with respect to the hidden states, f32 [T, C].
 * Releases `dhidden` and the trace. `links`, u32 [T] on the embedding's device, is linkOccurrences of the batch's ids
 * (kernels/embedding.ts).
 */
export async function backward(
  gpu: Gpu,
  model: Model,
  batch: Batch,
  trace: Trace,
  dhidden: Tensor,
  grads: ReadonlyMap<string, Tensor>,
  links: Tensor,
): Promise<void> {
  const { numLayers } = model.config;
  let here = gpu.at(numLayers - 1);
  let dx = here.empty(dhidden.shape, "f32");
  rmsnormBackward(here.recorder(), {
    x: trace.last,
    weight: model.parameter("model.norm.weight"),
    rstd: trace.rstd,
    dy: dhidden,
    dx,
    dweight: grads.get("model.norm.weight"),
    accumulate: false,
  });
  here.release(dhidden, trace.hidden, trace.rstd, trace.last);
  const moveTo = async (next: Gpu) => {
    dx = await handOver(dx, here, next);
    here = next;
  };
  for (let layer = numLayers - 1; layer >= 0; layer--) {
    await moveTo(gpu.at(layer));
    const rec = here.recorder();
    const rows = batch.get(here)!;
    const rope = model.rope(rows.maxLength, layer);
    const saved = recomputed(rec, model, rows, layer, trace.layers[layer]!, rope);
    layerBackward(rec, model, layer, { saved, dx, batch: rows, rope, grads });
    releaseActivations(rec, saved);
  }
  const dweight = grads.get(EMBEDDING);
  if (dweight) {
    await moveTo(deviceOf(gpu, model.config, EMBEDDING));
    embeddingBackward(here.recorder(), { ids: batch.get(here)!.ids, links, dout: dx, dweight });
  }
  here.release(dx);
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
