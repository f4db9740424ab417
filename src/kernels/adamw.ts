import source from "../../shaders/adamw.wgsl" with { type: "text" };
import index from "../../shaders/lib/index.wgsl" with { type: "text" };
import { ShapeError } from "../errors.ts";
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { check } from "./check.ts";

const adamw = defineKernel({ name: "adamw", source, includes: [index] });

const GROUP_PAIRS = 64;

export interface AdamwStep {
  /** elem; f32 is its own master. */
  param: Tensor;
  /** f32, for a bf16 parameter: what is stepped, `param` being its rounded copy. */
  master?: Tensor;
  /** f32 first and second moments, 0 before the first step. */
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
}

/** One AdamW step of one parameter, as torch.optim.AdamW does it. Changes param, master, m and v; all have the same size. */
export function adamwStep(rec: Recorder, options: AdamwStep): void {
  const { param, master, m, v, grad, clip, learningRate, beta1, beta2, eps, weightDecay, step } = options;
  const { size } = param;
  const tensors = { param, master, m, v, grad, clip };
  const ok = [master, m, v, grad].every((tensor) => !tensor || tensor.size === size) && clip.size === 2;
  check(ok, "adamw_step", "param, master, m, v, grad of one size and clip [2]", tensors);
  if ((param.dtype === "bf16") !== (master !== undefined)) {
    throw new ShapeError(
      `adamw_step: expected an f32 master for a bf16 param and none for f32, got ${param.dtype} ${master ? "with" : "without"} a master`,
    );
  }
  const params = {
    size,
    decay: 1 - learningRate * weightDecay,
    beta1,
    one_minus_beta1: 1 - beta1,
    beta2,
    one_minus_beta2: 1 - beta2,
    step_size: learningRate / (1 - beta1 ** step),
    variance_scale: 1 / Math.sqrt(1 - beta2 ** step),
    eps,
  };
  const workgroups = [Math.ceil(size / 2 / GROUP_PAIRS)] as const;
  if (master) {
    const buffers = { param, master, m, v, grad, clip };
    rec.dispatch(adamw, "adamw_step_param", { params, buffers, workgroups });
  } else {
    rec.dispatch(adamw, "adamw_step", { params, buffers: { master: param, m, v, grad, clip }, workgroups });
  }
}
