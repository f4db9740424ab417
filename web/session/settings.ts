import { parseConfig, type Config } from "../../src/run/config.ts";
import { DTYPE, BUNDLED, type Trainee } from "./models.ts";
import type { Run } from "./records.ts";
import { NUM_GENERATIONS } from "./protocol.ts";

/** Held-out problems that a finished run and the base model are scored on. */
const EVALUATED_PROBLEMS = 100;

/** Positions of a sequence and of its response at most, and bytes of keys and values: the bundled reasoner's, and those of others, who say more. */
const LENGTHS = {
  bundled: { sequence: 320, response: 256, cache: 2 ** 26 },
  own: { sequence: 1024, response: 512, cache: 2 ** 28 },
};

/**
 * configs/start.toml's rate for its 16 prompts; with the root of the batch below that, as its gradients are noisier. Wider models
 * learn at a lower one in inverse proportion (Yang et al. 2022), adapters at a ten times higher one (Schulman 2025).
 */
const learningRate = (numPrompts: number, { width, rank }: Trainee): number =>
  5e-4 * Math.min(1, Math.sqrt(numPrompts / 16)) * Math.min(1, BUNDLED.width / width) * (rank > 0 ? 10 : 1);

/** The tab's counterpart of configs/start.toml: what a run's folder holds as config.json. */
export function runConfig(
  run: Pick<Run, "alpha" | "maxIterations" | "numPrompts" | "task">,
  trainee: Trainee,
  folder: string,
): Config {
  const { dir, rank, context } = trainee;
  const lengths = dir === BUNDLED.dir ? LENGTHS.bundled : LENGTHS.own;
  const sequence = Math.min(lengths.sequence, context);
  const response = Math.min(lengths.response, Math.floor((sequence * lengths.response) / lengths.sequence));
  return parseConfig({
    // Where only adapters are trained the frozen weights are large: activations would be too.
    model: { path: dir, dtype: DTYPE, recompute: rank > 0 },
    lora: rank > 0 ? { r: rank, alpha: 2 * rank } : {},
    task: { name: run.task },
    engine: { max_num_seqs: 64, max_model_len: sequence, kv_cache_bytes: lengths.cache },
    rl: {
      alpha: run.alpha,
      num_prompts: run.numPrompts,
      num_generations: NUM_GENERATIONS,
      num_steps: 2,
      max_iterations: run.maxIterations,
      max_completion_length: response,
      temperature: 1,
      beta: 1e-3,
      epsilon: 0.2,
      scale_rewards: "none",
    },
    optim: {
      learning_rate: learningRate(run.numPrompts, trainee),
      adam_beta1: 0.9,
      adam_beta2: 0.95,
      max_grad_norm: 1,
      // Not cosine: a rate that depends on the run's length would make the first iterations depend on it too.
      lr_scheduler_type: "constant_with_warmup",
      warmup_steps: 4,
    },
    // A closed tab and a lost device cost the iteration that was under way, and nothing before it.
    train: { seed: 1, tokens_per_micro_batch: 4096, save_every: 1, save_total_limit: 1, output_dir: folder },
    eval: {
      num_problems: EVALUATED_PROBLEMS,
      num_samples: 1,
      temperature: 1,
      max_completion_length: response,
      seed: 1,
    },
  });
}
