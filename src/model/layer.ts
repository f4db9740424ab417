import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { adapterTensors } from "../hf/peft.ts";
import { attentionBackward } from "../kernels/attention.ts";
import {
  linearBackwardBias,
  linearBackwardInput,
  linearBackwardWeight,
  linearForward,
  linearSwiglu,
  SharedRows,
} from "../kernels/linear.ts";
import { rmsnormBackward, rmsnormForward } from "../kernels/rmsnorm.ts";
import { rmsnormRows } from "../kernels/rmsnorm-pack.ts";
import { ropeBackward, ropeForward } from "../kernels/rope.ts";
import { swigluForward } from "../kernels/swiglu.ts";
import { makesActivation, swigluBackwardRows } from "../kernels/swiglu-pack.ts";
import { adapterBackward, adapterForward } from "./adapter.ts";
import type { DeviceBatch } from "./batch.ts";
import type { Model } from "./model.ts";

/** What attention leaves for its backward pass: rounded keys and values elem [T, G, D] and log-sum-exp f32 [T, H]. */
export interface Attended {
  kPacked: Tensor;
  vPacked: Tensor;
  lse: Tensor;
}

/**
 * How a layer's queries meet keys and values, all f32: over the packed batch in training, through the paged cache in the
 * engine, which has no use for the result.
 */
export type Attend = (qkv: { q: Tensor; k: Tensor; v: Tensor; out: Tensor; layer: number }) => Attended | null;

/** What a layer's backward pass needs of its forward pass. f32 [T, *]. */
export interface LayerActivations {
  /** The residual stream before attention and before the MLP. */
  input: Tensor;
  middle: Tensor;
  attentionNorm: SharedRows;
  attentionRstd: Tensor;
  /** Queries and keys before their norms (Qwen3), null elsewhere. */
  rawQ: Tensor | null;
  rawK: Tensor | null;
  qRstd: Tensor | null;
  kRstd: Tensor | null;
  /** After norm and rotation. */
  q: Tensor;
  attention: Attended | null;
  attended: Tensor;
  mlpNorm: SharedRows;
  mlpRstd: Tensor;
  /** elem, and null where no backward pass wants them. */
  gate: Tensor | null;
  up: Tensor | null;
  /** Null where the backward pass makes it of gate and up, and nothing else wants it. */
  activated: Tensor | null;
}

/** Gives all of it back; without the layer's input where that is to be kept. */
export function releaseActivations(
  rec: Recorder,
  activations: Omit<LayerActivations, "input"> & { input?: Tensor },
): void {
  const { attention, attentionNorm, mlpNorm, ...tensors } = activations;
  attentionNorm.releaseAll(rec);
  mlpNorm.releaseAll(rec);
  rec.gpu.release(...Object.values(tensors), ...Object.values(attention ?? {}));
}

const layerName = (layer: number, rest: string) => `model.layers.${layer}.${rest}`;

/** One decoder layer: reads the residual stream `input` f32 [T, C] and returns the next one, with what backward needs if `isTraced`. */
export function layerForward(
  rec: Recorder,
  model: Model,
  layer: number,
  inputs: LayerInputs,
): { output: Tensor; activations: LayerActivations } {
  const activations = layerActivations(rec, model, layer, { ...inputs, isWhole: true });
  const { activated, middle: residual, gate } = activations;
  const output = rec.gpu.empty(residual.shape, "f32");
  projectForward(rec, model, layerName(layer, "mlp.down_proj"), { x: activated!, y: output, residual });
  if (!isActivationMade(rec, model, layer, gate)) return { output, activations };
  rec.gpu.release(activated);
  return { output, activations: { ...activations, activated: null } };
}

/** Whether the backward pass makes the activation of `gate` and `up`, as they are kept. An adapter beside the last product wants it in f32. */
const isActivationMade = (rec: Recorder, model: Model, layer: number, gate: Tensor | null): boolean =>
  gate !== null && makesActivation(rec.gpu, gate.dtype) && !model.adapterOf(layerName(layer, "mlp.down_proj"));

/** y = x W^T + b, and what is beside it, plus the residual. */
function projectForward(
  rec: Recorder,
  model: Model,
  module: string,
  { x, y, residual }: { x: Tensor | SharedRows; y: Tensor; residual?: Tensor | undefined },
): void {
  const weight = model.parameter(`${module}.weight`);
  const bias = model.parameters.get(`${module}.bias`);
  const adapter = model.adapterOf(module);
  if (!adapter) return linearForward(rec, { x, weight, bias, residual, y });
  const shared = SharedRows.of(x);
  const added = adapterForward(rec, adapter, shared, residual);
  linearForward(rec, { x: shared, weight, bias, residual: added, y });
  if (shared !== x) shared.release(rec);
  rec.gpu.release(added);
}

interface LayerInputs {
  input: Tensor;
  positions: Tensor;
  rope: Tensor;
  attend: Attend;
  /** Whether a backward pass follows. */
  isTraced: boolean;
}

/** All of a layer but its last product, which no gradient depends on and follows if `isWhole`. */
export function layerActivations(
  rec: Recorder,
  model: Model,
  layer: number,
  { input, positions, rope, attend, isTraced, isWhole = false }: LayerInputs & { isWhole?: boolean },
): LayerActivations {
  const { gpu } = rec;
  const { numHeads, numKvHeads, headDim, hiddenSize, intermediateSize, rmsNormEps: eps, qkNorm } = model.config;
  const rows = input.shape[0]!;
  const f32 = (...shape: number[]) => gpu.empty([rows, ...shape], "f32");
  const weight = (name: string) => model.parameter(layerName(layer, `${name}.weight`));
  const bias = (name: string) => model.parameters.get(layerName(layer, `${name}.bias`));
  const project = (x: Tensor | SharedRows, name: string, y: Tensor, residual?: Tensor) =>
    projectForward(rec, model, layerName(layer, name), { x, y, residual });

  const attentionRstd = f32();
  const attentionNorm = rmsnormRows(rec, { x: input, weight: weight("input_layernorm"), rstd: attentionRstd, eps });
  const heads = (name: string, count: number) => {
    const y = f32(count, headDim);
    project(attentionNorm, `self_attn.${name}`, y.view([rows, count * headDim]));
    return y;
  };
  const normHeads = (raw: Tensor, name: string) => {
    const y = f32(raw.shape[1]!, headDim);
    const rstd = f32(raw.shape[1]!);
    rmsnormForward(rec, { x: raw, weight: weight(`self_attn.${name}`), y, rstd, eps });
    return { y, rstd };
  };
  const rawQ = heads("q_proj", numHeads);
  const rawK = heads("k_proj", numKvHeads);
  const v = heads("v_proj", numKvHeads);
  attentionNorm.release(rec);
  const normedQ = qkNorm ? normHeads(rawQ, "q_norm") : null;
  const normedK = qkNorm ? normHeads(rawK, "k_norm") : null;
  const q = normedQ?.y ?? rawQ;
  const k = normedK?.y ?? rawK;
  ropeForward(rec, { q, k, positions, table: rope });

  const attended = f32(numHeads, headDim);
  const attention = attend({ q, k, v, out: attended, layer });
  gpu.release(v, k);
  const middle = f32(hiddenSize);
  project(attended.view([rows, numHeads * headDim]), "self_attn.o_proj", middle, input);

  const mlpRstd = f32();
  const mlpNorm = rmsnormRows(rec, { x: middle, weight: weight("post_attention_layernorm"), rstd: mlpRstd, eps });
  let gate = null;
  let up = null;
  let activated: Tensor | null = null;
  const isPlain = (name: string) => !bias(name) && !model.adapterOf(layerName(layer, name));
  if (!isPlain("mlp.gate_proj") || !isPlain("mlp.up_proj")) {
    gate = f32(intermediateSize);
    up = f32(intermediateSize);
    project(mlpNorm, "mlp.gate_proj", gate);
    project(mlpNorm, "mlp.up_proj", up);
    mlpNorm.release(rec);
    activated = f32(intermediateSize);
    swigluForward(rec, { gate, up, y: activated });
  } else {
    const [gateWeight, upWeight] = [weight("mlp.gate_proj"), weight("mlp.up_proj")];
    const kept = isTraced && {
      gate: gpu.empty([rows, intermediateSize], model.storage),
      up: gpu.empty([rows, intermediateSize], model.storage),
    };
    if (kept) ({ gate, up } = kept);
    if (isWhole || !isActivationMade(rec, model, layer, gate)) activated = f32(intermediateSize);
    linearSwiglu(rec, { x: mlpNorm, gateWeight, upWeight, ...kept, y: activated ?? undefined });
  }

  return {
    input,
    middle,
    attentionNorm,
    attentionRstd,
    rawQ: normedQ && rawQ,
    rawK: normedK && rawK,
    qRstd: normedQ?.rstd ?? null,
    kRstd: normedK?.rstd ?? null,
    q,
    attention,
    attended,
    mlpNorm,
    mlpRstd,
    gate,
    up,
    activated,
  };
}

/**
 * Turns `dx`, the gradient with respect to the layer's output (f32 [T, C]), into that with respect to its input, in
 * place, and adds the gradients of the parameters that `grads` has to it: frozen ones are not there.
 */
export function layerBackward(
  rec: Recorder,
  model: Model,
  layer: number,
  {
    saved,
    dx,
    batch,
    rope,
    grads,
  }: { saved: LayerActivations; dx: Tensor; batch: DeviceBatch; rope: Tensor; grads: ReadonlyMap<string, Tensor> },
): void {
  const { gpu } = rec;
  const { numHeads, numKvHeads, headDim, hiddenSize, intermediateSize } = model.config;
  const rows = dx.shape[0]!;
  const f32 = (...shape: number[]) => gpu.empty([rows, ...shape], "f32");
  const weight = (name: string) => model.parameter(layerName(layer, `${name}.weight`));
  const gradient = (name: string) => grads.get(layerName(layer, name));
  /** Gradients of W and b in y = x W^T + b are added to. */
  const weightGradients = (name: string, x: Tensor | SharedRows, dy: SharedRows) => {
    const [dweight, dbias] = [gradient(`${name}.weight`), gradient(`${name}.bias`)];
    if (dweight) linearBackwardWeight(rec, { x, dy, dweight, storage: weight(name).dtype });
    if (dbias) linearBackwardBias(rec, { dy: dy.source, dbias });
  };
  /** The gradient of x is written or added to, and of an adapter of W, which alone needs x, all. */
  const inputGradient = (
    name: string,
    x: Tensor | SharedRows | null,
    dy: SharedRows,
    dx: Tensor,
    accumulate: boolean,
  ) => {
    linearBackwardInput(rec, { dy, weight: weight(name), dx, accumulate });
    const module = layerName(layer, name);
    const adapter = model.adapterOf(module);
    const names = adapterTensors(module);
    if (adapter)
      adapterBackward(rec, adapter, { x: x!, dy, dx, grads: { a: grads.get(names.a)!, b: grads.get(names.b)! } });
  };
  /** Both. */
  const projectBackward = (
    name: string,
    x: Tensor | SharedRows,
    dOutput: Tensor | SharedRows,
    dInput: Tensor,
    accumulate: boolean,
  ) => {
    const dy = SharedRows.of(dOutput);
    weightGradients(name, x, dy);
    inputGradient(name, x, dy, dInput, accumulate);
    if (dy !== dOutput) dy.release(rec);
  };

  const dActivated = f32(intermediateSize);
  const dLayer = new SharedRows(dx);
  inputGradient("mlp.down_proj", saved.activated, dLayer, dActivated, false);
  const { dgate, dup, y } = swigluBackwardRows(rec, { gate: saved.gate!, up: saved.up!, dy: dActivated });
  weightGradients("mlp.down_proj", saved.activated ?? y!, dLayer);
  y?.releaseAll(rec);
  dLayer.release(rec);
  gpu.release(dActivated);
  const dNorm = f32(hiddenSize);
  projectBackward("mlp.gate_proj", saved.mlpNorm, dgate, dNorm, false);
  projectBackward("mlp.up_proj", saved.mlpNorm, dup, dNorm, true);
  saved.mlpNorm.release(rec);
  rmsnormBackward(rec, {
    x: saved.middle,
    weight: weight("post_attention_layernorm"),
    rstd: saved.mlpRstd,
    dy: dNorm,
    dx,
    dweight: gradient("post_attention_layernorm.weight"),
    accumulate: true,
  });
  dgate.releaseAll(rec);
  dup.releaseAll(rec);

  const dAttended = f32(numHeads, headDim);
  const flat = (heads: Tensor) => heads.view([rows, heads.size / rows]);
  projectBackward("self_attn.o_proj", flat(saved.attended), dx, flat(dAttended), false);
  let dq = f32(numHeads, headDim);
  let dk = f32(numKvHeads, headDim);
  const dv = f32(numKvHeads, headDim);
  const delta = f32(numHeads);
  attentionBackward(rec, {
    q: saved.q,
    k: saved.attention!.kPacked,
    v: saved.attention!.vPacked,
    out: saved.attended,
    dout: dAttended,
    lse: saved.attention!.lse,
    starts: batch.starts,
    ends: batch.ends,
    delta,
    dq,
    dk,
    dv,
    scale: 1 / Math.sqrt(headDim),
  });
  gpu.release(delta, dAttended);
  ropeBackward(rec, { dq, dk, positions: batch.positions, table: rope });
  const headNorm = (name: string, x: Tensor, rstd: Tensor, dy: Tensor) => {
    const dRaw = f32(dy.shape[1]!, headDim);
    rmsnormBackward(rec, {
      x,
      weight: weight(`self_attn.${name}`),
      rstd,
      dy,
      dx: dRaw,
      dweight: gradient(`self_attn.${name}.weight`),
      accumulate: false,
    });
    gpu.release(dy);
    return dRaw;
  };
  if (saved.rawQ) dq = headNorm("q_norm", saved.rawQ, saved.qRstd!, dq);
  if (saved.rawK) dk = headNorm("k_norm", saved.rawK, saved.kRstd!, dk);
  projectBackward("self_attn.q_proj", saved.attentionNorm, flat(dq), dNorm, false);
  projectBackward("self_attn.k_proj", saved.attentionNorm, flat(dk), dNorm, true);
  projectBackward("self_attn.v_proj", saved.attentionNorm, flat(dv), dNorm, true);
  saved.attentionNorm.release(rec);
  rmsnormBackward(rec, {
    x: saved.input,
    weight: weight("input_layernorm"),
    rstd: saved.attentionRstd,
    dy: dNorm,
    dx,
    dweight: gradient("input_layernorm.weight"),
    accumulate: true,
  });
  gpu.release(dq, dk, dv, dNorm);
}
