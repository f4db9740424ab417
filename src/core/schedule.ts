export const LR_SCHEDULERS = ["constant_with_warmup", "cosine"] as const;
export type LrScheduler = (typeof LR_SCHEDULERS)[number];

/** Cosine decay ends at this share of the peak (OpenRLHF). */
const COSINE_FLOOR = 0.1;

/**
 * Factor on the learning rate at optimizer step `step`, counted from 0. Warm-up is linear from 0, so the first update has a
 * learning rate of 0, as Hugging Face's LambdaLR has it; `cosine` then decays to 0.1 at `totalSteps`.
 */
export function learningRateFactor(
  scheduler: LrScheduler,
  step: number,
  { warmupSteps, totalSteps }: { warmupSteps: number; totalSteps: number },
): number {
  if (step < warmupSteps) return step / warmupSteps;
  if (scheduler === "constant_with_warmup") return 1;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  return COSINE_FLOOR + (1 - COSINE_FLOOR) * 0.5 * (1 + Math.cos(Math.PI * progress));
}

/** A number, or stages of it: [from this iteration on (counted from 0), the number], the first from 0. */
export type Stages = number | readonly (readonly [from: number, value: number])[];

/** The number that holds in `iteration`, counted from 0. */
export const stageAt = (stages: Stages, iteration: number): number =>
  typeof stages === "number" ? stages : stages.findLast(([from]) => from <= iteration)![1];

export const largestStage = (stages: Stages): number =>
  typeof stages === "number" ? stages : Math.max(...stages.map(([, value]) => value));
