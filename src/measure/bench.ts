import { OutOfMemoryError } from "../errors.ts";
import type { Storage } from "../gpu/tensor.ts";
import type { ModelConfig } from "../model/config.ts";
import { STORAGE, type Model } from "../model/model.ts";
import type { Cost } from "./cost.ts";
import { allocate } from "./kernel-case.ts";
import { kernelCases } from "./kernels/all.ts";
import { MODELS, randomModel } from "./models.ts";
import { describeAdapter, type BenchResult, type Line, type Skipped } from "./result.ts";
import { roofSeconds, tooLong, type Roof } from "./roof.ts";
import { Stopwatch, type Timing } from "./stopwatch.ts";
import type { BenchOptions } from "./workload.ts";
import { refusal, workloads } from "./workloads.ts";

/** Measurements as they come. */
export type OnLine = (line: Line | Skipped) => void;

/** Measures beside a roof of the same run. What the adapter cannot hold, or would take too long for, is left out with the reason. */
export async function runBench(
  watch: Stopwatch,
  roof: Roof,
  options: BenchOptions,
  onLine: OnLine = () => {},
): Promise<BenchResult> {
  const lines: Line[] = [];
  const skipped: Skipped[] = [];
  const add = (entry: Line | Skipped) => {
    if ("reason" in entry) skipped.push(entry);
    else lines.push(entry);
    onLine(entry);
  };
  for (const model of options.models) {
    const config = MODELS[model]!;
    if (options.parts.includes("kernels")) await runKernels(watch, roof, model, config, options, add);
    await runWorkloads(watch, roof, model, config, options, add);
  }
  return { date: new Date().toISOString(), adapter: describeAdapter(watch.device), roof, lines, skipped };
}

async function runKernels(
  watch: Stopwatch,
  roof: Roof,
  model: string,
  config: ModelConfig,
  { dtype, rows, context, maxSeconds }: BenchOptions,
  add: OnLine,
): Promise<void> {
  for (const kernel of kernelCases({ config, storage: STORAGE[dtype], context }, rows)) {
    const id = { part: "kernels" as const, model, name: kernel.kernel, shape: kernel.shape };
    const skip = (reason: string) => add({ ...id, reason });
    const reason = tooLong(roof, kernel.storage, kernel, maxSeconds);
    if (reason) skip(reason);
    else {
      await attempt(watch, skip, async (job) => {
        const tensors = allocate(job.gpu, kernel);
        const timing = await job.recorded((rec) => kernel.record(rec, tensors), maxSeconds);
        add(rated(roof, kernel, { ...id, storage: kernel.storage }, timing));
      });
    }
  }
}

async function runWorkloads(
  watch: Stopwatch,
  roof: Roof,
  name: string,
  config: ModelConfig,
  options: BenchOptions,
  add: OnLine,
): Promise<void> {
  const { gpu } = watch;
  const { dtype, maxSeconds } = options;
  const storage = STORAGE[dtype];
  let model: Model | null = null;
  for (const { part, shape, estimate, ...workload } of workloads(config, options)) {
    const skip = (reason: string) => add({ part, model: name, name: workload.name, shape, reason });
    const reason = refusal(gpu, config, dtype, part) ?? tooLong(roof, storage, estimate, maxSeconds);
    if (reason) {
      skip(reason);
      continue;
    }
    try {
      if (!model) {
        model = randomModel(gpu, config, dtype);
        model.rope(Math.min(config.maxPositionEmbeddings, longestSequence(options))); // the model's, not a measurement's
      }
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      skip(error.message);
      continue;
    }
    await attempt(watch, skip, async (job) => {
      for (const { timing, cost, tokens, memory, ...measured } of await workload.run(job, model!, maxSeconds)) {
        const line = rated(roof, cost, { part, model: name, name: measured.name, shape, storage }, timing);
        const rate = tokens === undefined ? {} : { tokens_per_second: tokens / (timing.ms.median / 1000) };
        add({ ...line, ...rate, ...(memory && { memory }) });
      }
    });
  }
  model?.dispose();
  await gpu.trim();
}

const longestSequence = ({ rows, context }: BenchOptions): number => Math.max(2048, ...rows, 2 * context);

/** Runs `measure` as a job of its own; an adapter out of memory is a reason to skip. */
async function attempt(
  { device }: Stopwatch,
  skip: (reason: string) => void,
  measure: (watch: Stopwatch) => Promise<void>,
): Promise<void> {
  const job = device.scope();
  try {
    await measure(new Stopwatch(device, job));
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
    skip(error.message);
  } finally {
    job.close();
    await device.trim();
  }
}

/** A line from a time and what the formula counts. */
function rated(
  roof: Roof,
  cost: Cost,
  id: Pick<Line, "part" | "model" | "name" | "shape"> & { storage: Storage },
  timing: Timing,
): Line {
  const seconds = timing.ms.median / 1000;
  return {
    ...id,
    ...timing,
    flops_per_second: cost.flops / seconds,
    bytes_per_second: cost.bytes / seconds,
    bound: cost.flops / roof.flops[id.storage] > cost.bytes / roof.bytes ? "compute" : "memory",
    roof_share: roofSeconds(roof, id.storage, cost) / seconds,
  };
}
