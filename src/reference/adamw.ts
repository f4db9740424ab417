/**
 * One step of AdamW with decoupled weight decay, as torch.optim.AdamW does it (Loshchilov & Hutter, "Decoupled Weight
 * Decay Regularization", algorithm 2). Changes master, m and v in place; `step` counts from 1.
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
}): void {
  for (let i = 0; i < master.length; i++) {
    const g = grad[i]! * clip;
    m[i] = beta1 * m[i]! + (1 - beta1) * g;
    v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
    const mean = m[i]! / (1 - beta1 ** step);
    const variance = v[i]! / (1 - beta2 ** step);
    master[i] = master[i]! * (1 - learningRate * weightDecay) - (learningRate * mean) / (Math.sqrt(variance) + eps);
  }
}
