import type { Gpu } from "../../gpu/gpu.ts";
import type { Check } from "../check.ts";
import { attentionTrials } from "./attention.ts";
import { headTrials } from "./head.ts";
import { linearTrials } from "./linear.ts";
import { optimizerTrials } from "./optimizer.ts";
import { rowTrials } from "./rows.ts";
import { Bench } from "./trial.ts";

/** Kernel by kernel, forward and backward: widths and head sizes of real models, other sizes no multiple of any tile. */
const TRIALS = [...rowTrials, ...linearTrials, ...attentionTrials, ...headTrials, ...optimizerTrials];

/** Runs every kernel on this adapter, in both storages, against its float64 twin. */
export async function* selfTest(gpu: Gpu): AsyncGenerator<Check> {
  for (const storage of ["f32", "bf16"] as const) {
    for (const trial of TRIALS) {
      const scope = gpu.scope();
      try {
        const bench = new Bench(scope, storage, trial);
        trial.run(bench);
        yield await bench.worst(`${trial.name} (${storage})`);
      } finally {
        scope.close();
      }
    }
  }
}
