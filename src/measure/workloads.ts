import type { Gpu } from "../gpu/gpu.ts";
import type { ModelConfig } from "../model/config.ts";
import { misfit } from "../model/limits.ts";
import { STORAGE, type ModelDType } from "../model/model.ts";
import { decode, prefill, rollout } from "./engine.ts";
import type { Part } from "./result.ts";
import { iteration, trainStep } from "./training.ts";
import type { BenchOptions, Workload } from "./workload.ts";

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
