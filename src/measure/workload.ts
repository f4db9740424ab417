import type { Model, ModelDType } from "../model/model.ts";
import type { Cost } from "./cost.ts";
import type { Line, Part } from "./result.ts";
import type { Stopwatch, Timing } from "./stopwatch.ts";

export interface BenchOptions {
  parts: readonly Part[];
  /** Keys of MODELS. */
  models: readonly string[];
  /** Rows that kernels, prefill and training steps are measured at. */
  rows: readonly number[];
  /** Sequences that decode together. */
  batches: readonly number[];
  /** Positions before the tokens that are decoded. */
  context: number;
  dtype: ModelDType;
  /** What a measurement may take; one that would take longer is left out. */
  maxSeconds: number;
}

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
