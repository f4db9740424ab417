/** A command whose output is the same however often it is killed on the way. */
export interface Job {
  name: string;
  /** Arguments, given the folder that all output goes to. */
  args: (dir: string) => string[];
  /** In the place of configs/start.toml. */
  start?: string;
  /** In the place of the command line. */
  script?: string;
}

const flags = (settings: Readonly<Record<string, string | number>>): string[] =>
  Object.entries(settings).map(([key, value]) => `--${key}=${value}`);

const SAMPLING = {
  "rl.num_prompts": 2,
  "rl.num_generations": 4,
  "rl.max_completion_length": 48,
  "engine.max_num_seqs": 8,
};
/** With a rate at which a few steps move what is sampled. */
const LORA = { "lora.r": 8, "optim.learning_rate": 1e-3, "optim.warmup_steps": 0 };
const REJECTION = { ...SAMPLING, "rl.max_completion_length": 120, "rejection.num_prompts": 12, "train.save_every": 1 };

/** Everything that keeps something on the disk, made small. */
export const JOBS: readonly Job[] = [
  {
    name: "rl",
    args: (dir) => [
      "train",
      ...flags({ ...SAMPLING, "rl.max_iterations": 5, "train.save_every": 1, "train.output_dir": dir }),
    ],
  },
  {
    name: "rl with lag",
    args: (dir) => [
      "train",
      ...flags({ ...SAMPLING, "rl.lag": 1, "rl.max_iterations": 5, "train.save_every": 1, "train.output_dir": dir }),
    ],
  },
  {
    name: "lora",
    args: (dir) => [
      "train",
      ...flags({ ...SAMPLING, ...LORA, "rl.max_iterations": 5, "train.save_every": 1, "train.output_dir": dir }),
    ],
  },
  {
    name: "rl with dynamic sampling",
    args: (dir) => [
      "train",
      ...flags({
        ...SAMPLING,
        "rl.max_completion_length": 120,
        "rl.dynamic_sampling": 2,
        "rl.max_iterations": 5,
        "train.save_every": 1,
        "train.output_dir": dir,
      }),
    ],
  },
  {
    name: "rl with screening",
    args: (dir) => [
      "train",
      ...flags({
        ...SAMPLING,
        "rl.alpha": 0,
        "rl.max_completion_length": 120,
        "rl.dynamic_sampling": 2,
        "rl.screen_generations": 2,
        "rl.max_iterations": 5,
        "train.save_every": 1,
        "train.output_dir": dir,
      }),
    ],
  },
  {
    name: "rl with records",
    args: (dir) => [
      "train",
      ...flags({
        ...SAMPLING,
        "rl.max_completion_length": 120,
        "rl.length_reward": "hapo",
        "rl.max_iterations": 5,
        "train.save_every": 1,
        "train.output_dir": dir,
      }),
    ],
  },
  {
    name: "rl with evaluation",
    args: (dir) => [
      "train",
      ...flags({
        ...SAMPLING,
        "rl.max_iterations": 6,
        "train.save_every": 3,
        "train.save_total_limit": 1,
        "train.eval_every": 1,
        "train.eval_problems": 20,
        "train.best": "fewest tokens",
        "train.early_stopping_patience": 3,
        "eval.max_completion_length": 120,
        "train.output_dir": dir,
      }),
    ],
  },
  {
    name: "offload",
    args: (dir) => [
      "train",
      ...flags({ ...SAMPLING, "rl.max_iterations": 5, "train.save_every": 1, "train.output_dir": dir }),
      "--optim.offload=true",
    ],
  },
  {
    name: "two devices",
    args: (dir) => [
      "train",
      ...flags({ ...SAMPLING, "rl.max_iterations": 5, "train.save_every": 1, "train.output_dir": dir }),
      "--device.layers=[3,1]",
    ],
  },
  {
    name: "sft",
    args: (dir) => [
      "sft",
      ...flags({ "sft.max_steps": 8, "sft.tokens_per_batch": 512, "train.save_every": 2, "train.output_dir": dir }),
    ],
  },
  {
    name: "dpo",
    args: (dir) => [
      "dpo",
      ...flags({ ...REJECTION, "dpo.max_steps": 4, "dpo.pairs_per_batch": 4, "train.output_dir": dir }),
    ],
  },
  {
    name: "dpo on cut responses",
    args: (dir) => [
      "dpo",
      ...flags({
        ...REJECTION,
        "dpo.data": "fcs",
        "dpo.max_steps": 4,
        "dpo.pairs_per_batch": 4,
        "train.output_dir": dir,
      }),
    ],
  },
  {
    name: "rejection",
    args: (dir) => [
      "sft",
      ...flags({ ...REJECTION, "sft.data": "shortest_correct", "sft.max_steps": 4, "train.output_dir": dir }),
    ],
  },
  {
    name: "eval",
    args: (dir) => [
      "eval",
      `--output=${dir}/responses.jsonl`,
      ...flags({ "eval.num_problems": 250, "eval.num_samples": 2, "eval.max_completion_length": 40 }),
    ],
  },
  {
    name: "reproduce",
    args: (dir) => ["reproduce", "--quick", "--seeds=1", `--output-dir=${dir}`],
    start: `
      [rl]
      num_prompts = 2
      num_generations = 4
      max_completion_length = 120
      max_iterations = 2
      [train]
      save_every = 1
      [eval]
      num_problems = 20
      max_completion_length = 120`,
  },
  { name: "arena", args: (dir) => [dir], script: "../cli/arena-entry.ts" },
];
