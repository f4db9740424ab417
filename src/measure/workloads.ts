import type { Gpu } from "../gpu/gpu.ts";
import type { ModelConfig } from "../model/config.ts";
import { misfit } from "../model/limits.ts";
import { STORAGE, type Model, type ModelDType } from "../model/model.ts";
import type { BenchOptions } from "./bench.ts";
import type { Cost } from "./cost.ts";
import { decode, prefill, rollout } from "./engine.ts";
import type { Line, Part } from "./result.ts";
import type { Stopwatch, Timing } from "./stopwatch.ts";
import { iteration, trainStep } from "./training.ts";

/** Something the engine or the trainer does with a whole model. */
export interface Workload {
  part: Part;
  name: string;
  shape: string;
  /** What it is expected to cost: whether it is tried depends on it. */
  estimate: Cost;
  run(watch: Stopwatch, model: Model, maxSeconds: number): Promise<Measured[]>;
}

/** A line of a workload, what it took and what that cost. */
export interface Measured {
  name: string;
  timing: Timing;
  cost: Cost;
  /** That came out of it, or went in. */
  tokens?: number;
  memory?: Line["memory"];
}

export function workloads(config: ModelConfig, { parts, rows, batches, context, dtype }: BenchOptions): Workload[] {
  const storage = STORAGE[dtype];
  const fits = (length: number) => Math.min(length, config.maxPositionEmbeddings);
  // A row or two are no prompt and no batch to learn from.
  const lengths = [...new Set(rows.map(fits))].filter((length) => length >= 16);
  const all: Workload[] = [
    ...lengths.map((length) => prefill(config, storage, length)),
    ...batches.map((batch) => decode(config, storage, batch, context)),
    rollout(config, storage),
    ...lengths.map((length) => trainStep(config, storage, length)),
    iteration(config, storage, dtype),
  ];
  return all.filter(({ part }) => parts.includes(part));
}

/** Why the adapter cannot hold the model's parameters, if it cannot; the trainer has gradients in f32. */
export function refusal(gpu: Gpu, config: ModelConfig, dtype: ModelDType, part: Part): string | null {
  const trains = part === "train" || part === "iteration";
  return misfit(gpu, config, trains ? "f32" : STORAGE[dtype]);
}
