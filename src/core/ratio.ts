import type { LossType } from "./aggregation.ts";

/** What a probability ratio is taken of: each token, or a whole response, by the mean of its tokens' (GSPO, Zheng et al. 2025). */
export const IMPORTANCE_SAMPLING_LEVELS = ["token", "sequence"] as const;
export type ImportanceSamplingLevel = (typeof IMPORTANCE_SAMPLING_LEVELS)[number];

/** What limits a token's ratio, as the options of training have it. */
export interface ClipOptions {
  lossType: LossType;
  epsilon: number;
  epsilonHigh?: number | undefined;
  delta?: number | undefined;
}

/** Whether the loss takes a token's gradient away, or caps its ratio. */
export function isClipped(
  ratio: number,
  advantage: number,
  { lossType, epsilon, epsilonHigh, delta }: ClipOptions,
): boolean {
  if (lossType === "cispo") return ratio > (epsilonHigh ?? 1 + epsilon);
  if (advantage > 0) return ratio > 1 + (epsilonHigh ?? epsilon);
  return advantage < 0 && (ratio < 1 - epsilon || (delta !== undefined && ratio > delta));
}
