import { philox } from "../core/rng.ts";

/**
 * x rounded to bfloat16: away from zero where the part of its last bit that is cut off, in 65,536ths, and `noise` (0 to 65,535)
 * together make a whole one, so that the mean over all noise is x to 16 more bits. NaN and infinities stay.
 */
export function roundStochastically(x: number, noise: number): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const exponent = ((new Uint32Array(new Float64Array([x]).buffer)[1]! >>> 20) & 0x7ff) - 1023;
  const lastBit = 2 ** (Math.max(exponent, -126) - 7);
  const bits = Math.abs(x) / lastBit;
  const whole = Math.floor(bits);
  const up = Math.floor((bits - whole) * 65536) + noise >= 65536 ? 1 : 0;
  return Math.sign(x) * (whole + up) * lastBit;
}

/** The 16 random bits that round element `i` in one step of one parameter. */
export interface RoundingNoise {
  m: number;
  v: number;
  param: number;
}

export function roundingNoise(
  { seed, stream }: { seed: number; stream: number },
  step: number,
  i: number,
): RoundingNoise {
  const words = philox([i >> 1, stream, step, 0xffffffff], [seed, Math.floor(seed / 2 ** 32)]);
  const [m, v, param] = words.map((word) => (i % 2 === 0 ? word & 0xffff : word >>> 16)) as [number, number, number];
  return { m, v, param };
}

/**
 * One step of AdamW with decoupled weight decay, as torch.optim.AdamW does it (Loshchilov & Hutter, "Decoupled Weight
 * Decay Regularization", algorithm 2). Changes master, m and v in place; `step` counts from 1. With `rounding`, the moments, and
 * where `rounding.param` the parameter too, are rounded stochastically to bfloat16 after the step.
 */
export function adamwStep({
  master,
  m,
  v,
  grad,
  clip,
  learningRate,
  beta1,
  beta2,
  eps,
  weightDecay,
  step,
  rounding,
}: {
  master: Float64Array;
  m: Float64Array;
  v: Float64Array;
  grad: Float64Array;
  /** Factor on the gradient, from clipping its global norm. */
  clip: number;
  learningRate: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  step: number;
  rounding?: { seed: number; stream: number; param: boolean };
}): void {
  for (let i = 0; i < master.length; i++) {
    const g = grad[i]! * clip;
    m[i] = beta1 * m[i]! + (1 - beta1) * g;
    v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
    const mean = m[i]! / (1 - beta1 ** step);
    const variance = v[i]! / (1 - beta2 ** step);
    master[i] = master[i]! * (1 - learningRate * weightDecay) - (learningRate * mean) / (Math.sqrt(variance) + eps);
    if (!rounding) continue;
    const noise = roundingNoise(rounding, step, i);
    m[i] = roundStochastically(m[i]!, noise.m);
    v[i] = roundStochastically(v[i]!, noise.v);
    if (rounding.param) master[i] = roundStochastically(master[i]!, noise.param);
  }
}
