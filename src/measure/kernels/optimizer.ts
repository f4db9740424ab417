import { adamwStep } from "../../kernels/adamw.ts";
import { globalNorm, partialSums } from "../../kernels/grad-norm.ts";
import type { DType } from "../../gpu/tensor.ts";
import { elem, f32, kernelCase, type KernelCase, type KernelShape, type TensorSpec } from "../kernel-case.ts";

const OPTIONS = { learningRate: 1e-6, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, step: 1 };

/** On the largest matrix of a layer, with the state in f32 and in bf16; rows play no part. */
export function optimizerCases({ config, storage }: KernelShape): KernelCase[] {
  const shape = [config.intermediateSize, config.hiddenSize];
  const size = config.intermediateSize * config.hiddenSize;
  return [step(shape, storage, "f32"), step(shape, storage, "bf16"), norm(size)];
}

function step(shape: number[], storage: KernelShape["storage"], moments: DType): KernelCase {
  const size = shape[0]! * shape[1]!;
  const hasMaster = storage === "bf16" && moments === "f32";
  const of = (dtype: DType): TensorSpec => ({ shape, dtype });
  const [weight, state] = [storage === "bf16" ? 2 : 4, moments === "bf16" ? 2 : 4];
  return kernelCase({
    kernel: moments === "bf16" ? "adamw_step, state in bf16" : "adamw_step",
    shape: shape.join(" x "),
    storage,
    // Weights are read unless a master is; master and moments are read and written; the gradient is read.
    bytes: size * (hasMaster ? weight + 8 : 2 * weight) + size * (4 * state + 4),
    tensors: {
      param: elem(storage, ...shape),
      master: hasMaster ? f32(...shape) : f32(0),
      m: of(moments),
      v: { ...of(moments), values: new Float32Array(size).fill(1) },
      grad: f32(...shape),
      clip: { ...f32(2), values: Float32Array.of(1, 1) },
    },
    record: (rec, { master, ...tensors }) => {
      const rounding = moments === "bf16" ? { seed: 1, stream: 0 } : undefined;
      adamwStep(rec, { ...tensors, ...(hasMaster && { master }), ...OPTIONS, rounding });
    },
  });
}

const norm = (size: number): KernelCase =>
  kernelCase({
    kernel: "grad_norm",
    shape: `${size}`,
    tensors: { grad: f32(size), partials: f32(partialSums([size])), out: f32(2) },
    record: (rec, { grad, partials, out }) => globalNorm(rec, { grads: [grad], partials, out, maxNorm: 1 }),
  });
