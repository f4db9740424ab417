import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { LLM } from "../../src/engine/llm.ts";
import { configKeys, parseConfig, type Config } from "../../src/run/config.ts";
import { trainDpo } from "../../src/train/dpo.ts";
import { evaluate } from "../../src/train/evaluate.ts";
import { planMemory } from "../../src/train/memory-plan.ts";
import {
  adamwOptions,
  dpoOptions,
  evaluateOptions,
  plannedOptions,
  rlOptions,
  sftOptions,
} from "../../src/train/options.ts";
import { trainRl } from "../../src/train/rl.ts";
import { demonstrations, trainSft } from "../../src/train/sft.ts";
import { tinyConfig } from "../helpers/models.ts";
import { toyModel, toySetup, toyTask, toyTokenizer, weightDigest } from "../helpers/toy.ts";

type Settings = Record<string, unknown>;

/** A few steps of each kind on the toy model, such that every setting matters: responses of many lengths, some cut off. */
const BASE: Settings = {
  "rl.alpha": 0.2,
  "rl.num_prompts": 4,
  "rl.num_generations": 6,
  "rl.num_steps": 2,
  "rl.max_iterations": 3,
  "rl.max_completion_length": 6,
  "sft.max_steps": 3,
  "sft.tokens_per_batch": 60,
  "dpo.max_steps": 3,
  "dpo.pairs_per_batch": 2,
  "optim.learning_rate": 0.02,
  "optim.warmup_steps": 0,
  "eval.max_completion_length": 6,
  "eval.temperature": 1,
};

const configOf = (settings: Settings): Config => {
  const json: Record<string, Settings> = {};
  for (const [key, value] of Object.entries({ ...BASE, ...settings })) {
    const [section, name] = key.split(".") as [string, string];
    (json[section] ??= {})[name] = value;
  }
  return parseConfig(json);
};

const timeless = (rows: object[]) =>
  rows.map((row) => Object.entries(row).filter(([name]) => !/(_|^)time$/.test(name)));

/** What a run computes, as text. */
const RUNS: Record<string, (config: Config) => Promise<string>> = {
  async rl(config) {
    const setup = await toySetup("float32", undefined, adamwOptions(config));
    const iterations = await Array.fromAsync(trainRl(setup, rlOptions(config)));
    const metrics = timeless(iterations.map(({ metrics: row }) => row));
    const drawn = iterations.map(({ rollouts }) => rollouts.map(({ tokenIds, reward }) => [tokenIds, reward]));
    return JSON.stringify([metrics, drawn, await weightDigest(setup.model)]);
  },
  async sft(config) {
    const setup = await toySetup("float32", undefined, adamwOptions(config));
    const examples = demonstrations(setup.task, setup.tokenizer, 0, config.train.seed);
    const metrics = await Array.fromAsync(trainSft(setup.model, setup.optimizer, examples, sftOptions(config)));
    return JSON.stringify([timeless(metrics), await weightDigest(setup.model)]);
  },
  async dpo(config) {
    const setup = await toySetup("float32", undefined, adamwOptions(config));
    const pairs = [2, 3, 4, 5].map((word) => ({
      promptTokenIds: [9, word, 10],
      chosen: [word, 0],
      rejected: [11, 12, word, 0],
    }));
    const steps = trainDpo(setup.model, setup.reference!, setup.optimizer, pairs, dpoOptions(config));
    return JSON.stringify([timeless(await Array.fromAsync(steps)), await weightDigest(setup.model)]);
  },
  async eval(config) {
    const task = toyTask();
    const llm = new LLM(await toyModel("float32"), { maxModelLen: 32 });
    const { completions } = await evaluate(llm, toyTokenizer(), task, task.test, evaluateOptions(config), {
      stopTokenIds: [0],
    });
    return JSON.stringify(completions);
  },
  /** The plan of memory: for what changes a run's cost and nothing that it computes. */
  async memory(config) {
    const shape = tinyConfig({ vocab_size: 1000, num_hidden_layers: 4, max_position_embeddings: 4096 });
    const options = [rlOptions(config), adamwOptions(config), plannedOptions(config)] as const;
    return JSON.stringify(await planMemory(shape, config.model.dtype, ...options));
  },
};

/** By the run that shows it: the setting's other value, and what else it takes to see it. */
const EFFECTS: Record<string, Record<string, [value: unknown, beside?: Settings]>> = {
  rl: {
    "rl.alpha": [0.4],
    "rl.target_length": [3],
    "rl.max_accuracy_drop": [0.5],
    "rl.num_prompts": [3],
    "rl.num_generations": [4],
    "rl.num_steps": [1],
    "rl.num_iterations": [2],
    "rl.max_iterations": [2],
    "rl.max_sampled_tokens": [1],
    "rl.lag": [1],
    "rl.dynamic_sampling": [2, { "rl.num_generations": 2 }],
    "rl.screen_generations": [2, { "rl.dynamic_sampling": 2 }],
    "rl.max_completion_length": [5],
    "rl.temperature": [0.7],
    "rl.top_p": [0.5],
    "rl.top_k": [2],
    "rl.min_p": [0.9],
    "rl.stop": [["red"]],
    "rl.beta": [0.5],
    "rl.kl_estimator": ["k3", { "rl.beta": 0.5 }],
    "rl.epsilon": [0.01],
    "rl.epsilon_high": [0.9, { "rl.epsilon": 0.01 }],
    "rl.delta": [1.02, { "rl.epsilon": 0.01 }],
    "rl.scale_rewards": ["group"],
    "rl.loss_type": ["dr_grpo"],
    "rl.advantage": ["batch"],
    "rl.importance_sampling_level": ["sequence"],
    "rl.mask_truncated_completions": [true],
    "rl.length_reward": ["kimi"],
    "rl.length_reward_options": [{ weight: 0.9 }, { "rl.length_reward": "kimi" }],
    "optim.learning_rate": [0.01],
    "optim.adam_beta1": [0.5],
    "optim.adam_beta2": [0.5],
    "optim.adam_epsilon": [0.1],
    "optim.weight_decay": [0.5],
    "optim.max_grad_norm": [0.001],
    "optim.lr_scheduler_type": ["cosine"],
    "optim.warmup_steps": [3],
    "train.seed": [7],
  },
  sft: { "sft.max_steps": [2], "sft.tokens_per_batch": [20] },
  dpo: {
    "dpo.loss_type": ["simpo"],
    "dpo.beta": [0.9],
    "dpo.simpo_gamma": [0.1, { "dpo.loss_type": "simpo" }],
    "dpo.max_steps": [2],
    "dpo.pairs_per_batch": [3],
  },
  eval: {
    "eval.num_samples": [2],
    "eval.temperature": [0.5],
    "eval.top_p": [0.3],
    "eval.top_k": [1],
    "eval.min_p": [0.9],
    "eval.stop": [["red"]],
    "eval.max_completion_length": [3],
    "eval.seed": [9],
  },
  memory: {
    "model.dtype": ["float32"],
    "model.recompute": [true, { "engine.kv_cache_bytes": 5_000_000 }],
    "model.offload_reference": [true],
    "device.layers": [[3, 1]],
    "optim.state_dtype": ["bfloat16"],
    "engine.block_size": [24, { "engine.kv_cache_bytes": 5_000_000 }],
    "engine.kv_cache_bytes": [5_000_000],
    "engine.max_num_seqs": [16],
    "engine.max_model_len": [512],
    "train.tokens_per_micro_batch": [100],
  },
};

/** Settings of files and commands, and the test that shows each. */
const ELSEWHERE: Record<string, string> = {
  "model.path": "test/cli/commands.test.ts",
  "task.name": "test/tasks/load.test.ts",
  "task.path": "test/tasks/math.test.ts",
  "task.test_path": "test/tasks/math.test.ts",
  "task.options": "test/tasks/arithmetic.test.ts",
  "rl.rewards": "test/examples/reward.test.ts",
  "dpo.data": "test/cli/dpo.test.ts",
  "rejection.num_prompts": "test/crash/jobs.ts",
  "sft.data": "test/crash/jobs.ts",
  "sft.random_init": "test/cli/commands.test.ts",
  "train.save_every": "test/cli/interrupt.test.ts",
  "train.save_total_limit": "test/cli/commands.test.ts",
  "lora.r": "test/model/lora.test.ts",
  "lora.alpha": "test/model/lora.test.ts",
  "lora.target_modules": "test/model/lora.test.ts",
  "lora.use_rslora": "test/model/lora.test.ts",
  "optim.offload": "test/train/offload.test.ts",
  "train.eval_every": "test/train/held-out.test.ts",
  "train.eval_problems": "test/train/held-out.test.ts",
  "train.best": "test/train/held-out.test.ts",
  "train.early_stopping_patience": "test/train/held-out.test.ts",
  "train.output_dir": "test/cli/commands.test.ts",
  "eval.num_problems": "test/cli/commands.test.ts",
  "device.adapter": "test/cli/commands.test.ts",
};

test("every setting is among those below", () => {
  const shown = [...Object.values(EFFECTS).flatMap((keys) => Object.keys(keys)), ...Object.keys(ELSEWHERE)];
  expect(shown.toSorted()).toEqual(
    configKeys()
      .map(({ key }) => key)
      .toSorted(),
  );
});

test.each(Object.entries(ELSEWHERE))("%s has its test in %s", (key, path) => {
  const file = new URL(`../../${path}`, import.meta.url);
  expect(existsSync(file)).toBe(true);
  expect(readFileSync(file, "utf8")).toMatch(new RegExp(`\\b${key.split(".")[1]}\\b`));
});

describe.each(Object.entries(EFFECTS))("what %s computes depends on", (kind, settings) => {
  const without = new Map<string, Promise<string>>();
  const computed = (beside: Settings) => {
    const key = JSON.stringify(beside);
    if (!without.has(key)) without.set(key, RUNS[kind]!(configOf(beside)));
    return without.get(key)!;
  };

  test.each(Object.entries(settings))("%s", async (key, [value, beside = {}]) => {
    expect(configOf({ ...beside, [key]: value })).not.toEqual(configOf(beside));
    expect(await RUNS[kind]!(configOf({ ...beside, [key]: value }))).not.toBe(await computed(beside));
  });
});
