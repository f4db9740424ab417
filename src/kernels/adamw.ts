import source from "../../shaders/adamw.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import rng from "../../shaders/lib/rng.wgsl" with { type: "text" };
import { ShapeError } from "../errors.ts";
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check } from "./check.ts";
import { elementWindows } from "./windows.ts";

const adamw = defineKernel({ name: "adamw", source, includes: [index, rng] });

const GROUP_PAIRS = 64;

/** What the random bits of stochastic rounding depend on, besides step and element. */
export interface StochasticRounding {
  seed: number;
  /** Tells the parameters of a model apart. */
  stream: number;
}

export interface AdamwStep {
  /** elem; f32 is its own master. */
  param: Tensor;
  /** f32, for a bf16 parameter with f32 moments: what is stepped, `param` being its rounded copy. */
  master?: Tensor;
  /** f32 or bf16 first and second moments, 0 before the first step. */
  m: Tensor;
  v: Tensor;
  grad: Tensor;
  /** f32 [2], globalNorm's `out`: the gradient is multiplied by clip[1]. */
  clip: Tensor;
  learningRate: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** Counts from 1. */
  step: number;
  /** For bf16 moments: they, and with them a bf16 parameter, which then has no master, are rounded stochastically. */
  rounding?: StochasticRounding;
}

/** One AdamW step of one parameter, as torch.optim.AdamW does it. Changes param, master, m and v; all have the same size. */
export function adamwStep(rec: Recorder, options: AdamwStep): void {
  const { param, master, m, v, grad, clip, learningRate, beta1, beta2, eps, weightDecay, step, rounding } = options;
  const { size } = param;
  const tensors = { param, master, m, v, grad, clip };
  const ok = [master, m, v, grad].every((tensor) => !tensor || tensor.size === size) && clip.size === 2;
  check(ok, "adamw_step", "param, master, m, v, grad of one size and clip [2]", tensors);
  if (m.dtype !== v.dtype || (m.dtype === "bf16") !== (rounding !== undefined)) {
    throw new ShapeError(
      `adamw_step: expected f32 moments without and bf16 moments with stochastic rounding, got m ${m.dtype}, v ${v.dtype} ${rounding ? "with" : "without"} it`,
    );
  }
  if ((param.dtype === "bf16" && !rounding) !== (master !== undefined)) {
    throw new ShapeError(
      `adamw_step: expected an f32 master for a bf16 param with f32 moments and none otherwise, got ${param.dtype}, moments ${m.dtype}, ${master ? "with" : "without"} a master`,
    );
  }
  const params = {
    decay: 1 - learningRate * weightDecay,
    beta1,
    one_minus_beta1: 1 - beta1,
    beta2,
    one_minus_beta2: 1 - beta2,
    step_size: learningRate / (1 - beta1 ** step),
    variance_scale: 1 / Math.sqrt(1 - beta2 ** step),
    eps,
    step,
    ...(rounding && {
      seed_low: rounding.seed >>> 0,
      seed_high: Math.floor(rounding.seed / 2 ** 32),
      stream: rounding.stream,
    }),
  };
  const dispatch = (entryPoint: string, tensors: Record<string, Tensor>) => {
    const parts = Object.entries({ ...tensors, grad }).map(([name, tensor]) => ({
      name,
      windows: [...elementWindows(rec.gpu, tensor)],
    }));
    parts[0]!.windows.forEach(({ first, part }, i) => {
      rec.dispatch(adamw, entryPoint, {
        params: { ...params, size: part.size, first },
        buffers: { ...Object.fromEntries(parts.map(({ name, windows }) => [name, windows[i]!.part])), clip },
        workgroups: [Math.ceil(part.size / 2 / GROUP_PAIRS)],
        cost: {
          flops: 16 * part.size,
          bytes: parts.reduce((sum, { windows }) => sum + 2 * windows[i]!.part.byteLength, 0),
        },
      });
    });
  };
  if (rounding) {
    const moments = { mean_pairs: m, variance_pairs: v };
    if (param.dtype === "bf16") dispatch("adamw_step_rounded", { param, ...moments });
    else dispatch("adamw_step_rounded_moments", { master: param, ...moments });
  } else {
    const moments = { means: m, variances: v };
    if (master) dispatch("adamw_step_param", { param, master, ...moments });
    else dispatch("adamw_step", { master: param, ...moments });
  }
}
