import { LLM } from "../engine/llm.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { Model } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import { evaluate, type Evaluation } from "../train/evaluate.ts";
import { duration, files, note, openGpu, openSources, percent, print, type Sources } from "./host.ts";
import { engineOptions, evaluateOptions } from "./options.ts";

/** Scores a model on the task's held-out problems. */
export async function evaluateModel(model: Model, sources: Sources, config: Config, what: string): Promise<Evaluation> {
  const llm = new LLM(model, engineOptions(config));
  const problems = sources.task.test.slice(0, config.eval.num_problems);
  const start = performance.now();
  let shown = 0;
  try {
    return await evaluate(llm, sources.tokenizer, sources.task, problems, evaluateOptions(config), {
      stopTokenIds: sources.stopTokenIds,
      onProgress: (done, total) => {
        const share = done / total;
        if (share < shown + 0.2 && done < total) return;
        shown = share;
        const seconds = (performance.now() - start) / 1000;
        note(
          `eval ${what} ${done}/${total} | ${(done / seconds).toFixed(1)} responses/s | ${duration((seconds * (total - done)) / done)} left`,
        );
      },
    });
  } finally {
    llm.dispose();
  }
}

/** `pith eval`: accuracy and tokens on the held-out problems, by difficulty. */
export async function evalCommand(config: Config, { json }: { json: boolean }): Promise<void> {
  const sources = await openSources(config);
  const gpu: Gpu = await openGpu(config.device.adapter);
  const model = await Model.load(gpu, files, sources.modelDir, { dtype: config.model.dtype });
  const result = await evaluateModel(model, sources, config, sources.task.name);
  if (json) return print(JSON.stringify(result));
  print(
    `${"difficulty".padEnd(12)} ${"problems".padStart(8)} ${"accuracy".padStart(9)} ${"tokens".padStart(8)} ${"cut off".padStart(8)}`,
  );
  for (const [name, scores] of [...Object.entries(result.by_difficulty), ["all", result] as const]) {
    print(
      `${name.padEnd(12)} ${String(scores.num_problems).padStart(8)} ${percent(scores.accuracy).padStart(9)} ` +
        `${scores.mean_length.toFixed(1).padStart(8)} ${percent(scores.clipped_ratio).padStart(8)}`,
    );
  }
}
