/**
 * L2 norm over all gradients together, and the factor that brings it down to maxNorm (torch.nn.utils.clip_grad_norm_):
 * [norm, min(1, maxNorm / (norm + 1e-6))].
 */
export function globalNorm({
  grads,
  maxNorm,
}: {
  grads: Float64Array[];
  maxNorm: number;
}): [norm: number, clip: number] {
  const norm = Math.sqrt(grads.reduce((sum, grad) => sum + grad.reduce((s, g) => s + g * g, 0), 0));
  return [norm, Math.min(1, maxNorm / (norm + 1e-6))];
}
