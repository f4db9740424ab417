import type { RunFolder } from "../run/run-folder.ts";
import { keepSteps } from "../train/keep.ts";
import type { Progress } from "../train/resume.ts";
import { duration, note, print } from "./host.ts";

/** What every step-wise trainer reports. Times in seconds. */
interface StepMetrics {
  step: number;
  grad_norm: number;
  learning_rate: number;
  num_tokens: number;
  step_time: number;
}

/** Drives a step-wise trainer to its end, with a line every tenth step. False if it was interrupted. */
export async function printSteps<M extends StepMetrics>(
  steps: AsyncGenerator<M>,
  progress: Progress,
  folder: RunFolder,
  { total, signal, describe }: { total: number; signal: AbortSignal; describe: (metrics: M) => string },
): Promise<boolean> {
  const start = performance.now();
  const firstStep = progress.state.step;
  const record = ({ step, ...metrics }: StepMetrics) => ({ step, metrics, isLast: step === total });
  for await (const metrics of keepSteps(steps, record, progress, folder, { signal })) {
    const { step } = metrics;
    const perStep = (performance.now() - start) / 1000 / (step - firstStep);
    if (step % 10 === 0 || step === total) {
      print(
        `step ${step}/${total} | ${describe(metrics)} | grad ${metrics.grad_norm.toFixed(2)} | ` +
          `lr ${metrics.learning_rate.toExponential(1)} | ${Math.round(metrics.num_tokens / metrics.step_time)} tok/s | ` +
          `${duration(perStep * (total - step))} left`,
      );
    }
  }
  const finished = progress.state.step === total;
  if (!finished) note(`interrupted after step ${progress.state.step}; the same command goes on from there`);
  return finished;
}
