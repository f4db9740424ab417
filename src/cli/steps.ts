import type { RunFolder } from "../run/run-folder.ts";
import { duration, note, print } from "./host.ts";
import type { Progress } from "./resume.ts";

/** What every step-wise trainer reports. Times in seconds. */
interface StepMetrics {
  step: number;
  grad_norm: number;
  learning_rate: number;
  num_tokens: number;
  step_time: number;
}

/** Drives a trainer to its end: logs, a line every tenth step, checkpoints. False if it was interrupted, after a checkpoint. */
export async function runSteps<M extends StepMetrics>(
  steps: AsyncGenerator<M>,
  { state, save }: Progress,
  folder: RunFolder,
  signal: AbortSignal,
  { total, describe }: { total: number; describe: (metrics: M) => string },
): Promise<boolean> {
  const start = performance.now();
  const firstStep = state.step;
  for await (const metrics of steps) {
    const { step, ...logged } = metrics;
    state.step = step;
    state.num_tokens += metrics.num_tokens;
    await folder.log(step, logged as Record<string, number>);
    const perStep = (performance.now() - start) / 1000 / (step - firstStep);
    if (step % 10 === 0 || step === total) {
      print(
        `step ${step}/${total} | ${describe(metrics)} | grad ${metrics.grad_norm.toFixed(2)} | ` +
          `lr ${metrics.learning_rate.toExponential(1)} | ${Math.round(metrics.num_tokens / metrics.step_time)} tok/s | ` +
          `${duration(perStep * (total - step))} left`,
      );
    }
    if (step % folder.config.train.save_every === 0 || step === total || signal.aborted) {
      await save();
      await folder.writeEvents();
    }
    if (signal.aborted) {
      note(`interrupted after step ${step}; the same command goes on from there`);
      return false;
    }
  }
  return true;
}
