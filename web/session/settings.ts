import { parseConfig, type Config } from "../../src/run/config.ts";
import { REASONER } from "./reasoner.ts";
import type { Run } from "./records.ts";
import { NUM_GENERATIONS } from "./protocol.ts";

/** Held-out problems that a finished run and the base model are scored on. */
const EVALUATED_PROBLEMS = 100;

export const DTYPE = "bfloat16";

/** configs/start.toml's rate for its 16 prompts; with the root of the batch below that, as its gradients are noisier. */
const learningRate = (numPrompts: number): number => 4e-4 * Math.min(1, Math.sqrt(numPrompts / 16));

/** The tab's counterpart of configs/start.toml: what a run's folder holds as config.json. */
export function runConfig(run: Pick<Run, "alpha" | "maxIterations" | "numPrompts" | "task">, folder: string): Config {
  return parseConfig({
    model: { path: REASONER, dtype: DTYPE },
    task: { name: run.task },
    engine: { max_num_seqs: 64, max_model_len: 320, kv_cache_bytes: 2 ** 26 },
    rl: {
      alpha: run.alpha,
      num_prompts: run.numPrompts,
      num_generations: NUM_GENERATIONS,
      num_steps: 2,
      max_iterations: run.maxIterations,
      max_completion_length: 256,
      temperature: 1,
      beta: 1e-3,
      epsilon: 0.2,
      scale_rewards: "none",
    },
    optim: {
      learning_rate: learningRate(run.numPrompts),
      adam_beta1: 0.9,
      adam_beta2: 0.95,
      max_grad_norm: 1,
      // Not cosine: a rate that depends on the run's length would make the first iterations depend on it too.
      lr_scheduler_type: "constant_with_warmup",
      warmup_steps: 4,
    },
    // A closed tab and a lost device cost the iteration that was under way, and nothing before it.
    train: { seed: 1, tokens_per_micro_batch: 4096, save_every: 1, save_total_limit: 1, output_dir: folder },
    eval: { num_problems: EVALUATED_PROBLEMS, num_samples: 1, temperature: 1, max_completion_length: 256, seed: 1 },
  });
}
