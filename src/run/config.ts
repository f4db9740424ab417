import { parse as parseToml } from "smol-toml";
import { z } from "zod";
import { parseBestRule } from "../core/best.ts";
import { LR_SCHEDULERS } from "../core/schedule.ts";
import { SOLUTION_CUTS } from "../core/solutions.ts";
import { ConfigError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";
import { rlSchema } from "./config-rl.ts";
import { nearest } from "./nearest.ts";
import { count, fraction, positive } from "./ranges.ts";

/** The one source of keys, defaults, ranges, help and docs/configuration.md. */
const configSchema = z.strictObject({
  model: z
    .strictObject({
      path: z.string().default("models/reasoner").describe("Hugging Face folder or hub id"),
      dtype: z.enum(["bfloat16", "float32"]).default("bfloat16").describe("storage of weights and KV cache"),
      recompute: z
        .boolean()
        .default(false)
        .describe("run each layer again in the backward pass instead of keeping its activations"),
      offload_reference: z
        .boolean()
        .default(false)
        .describe(
          "read the frozen policy of rl.beta from its files for each of its passes; otherwise it stays on the device",
        ),
    })
    .prefault({}),
  lora: z
    .strictObject({
      r: count(0)
        .refine((r) => r % 2 === 0, { message: "expected an even rank: the kernels take numbers in pairs" })
        .default(0)
        .describe("rank of adapters beside linear layers; 0 trains all weights (docs/memory.md)"),
      alpha: positive()
        .default(32)
        .describe("weight of the adapters' product, divided by r, or by its root with use_rslora"),
      target_modules: z
        .union([z.literal("all-linear"), z.array(z.string()).min(1)])
        .default("all-linear")
        .describe('the layers that get one: "all-linear", or names such as ["q_proj", "v_proj"]'),
      use_rslora: z
        .boolean()
        .default(false)
        .describe("divide alpha by the rank's root (rsLoRA) instead of by the rank"),
    })
    .prefault({}),
  task: z
    .strictObject({
      name: z
        .string()
        .default("arithmetic")
        .describe(
          "arithmetic, math, one of the paper's evaluation sets (gsm8k, math500, aime2024) with `path` to train on, or the path of a module whose default export makes a task",
        ),
      path: z.string().optional().describe("training rows: .jsonl, .json or .parquet, or a hub data set"),
      test_path: z.string().optional().describe("held-out rows"),
      options: z.record(z.string(), z.unknown()).default({}).describe("the task's own options"),
    })
    .prefault({}),
  rl: rlSchema,
  rejection: z
    .strictObject({
      num_prompts: count()
        .default(3200)
        .describe("training prompts to sample rl.num_generations responses to, for dpo and sft.data shortest_correct"),
    })
    .prefault({}),
  sft: z
    .strictObject({
      data: z
        .enum(["demonstrations", "shortest_correct"])
        .default("demonstrations")
        .describe("what is learned: the task's demonstrations, or the model's own shortest correct responses"),
      max_steps: count().default(1000).describe("optimizer steps"),
      tokens_per_batch: count().default(2048).describe("tokens of a step's batch, prompts included"),
      random_init: z
        .boolean()
        .default(false)
        .describe("start from random weights: the folder needs config.json and a tokenizer only"),
    })
    .prefault({}),
  dpo: z
    .strictObject({
      data: z
        .enum(["shortest", ...SOLUTION_CUTS])
        .default("shortest")
        .describe(
          "what is preferred to the longest correct response: the shortest one; or the shortest of those cut after their first correct solution (fcs), after their second (fcs_reflection), or when a solution brings no new approach (gds)",
        ),
      loss_type: z
        .enum(["sigmoid", "simpo"])
        .default("sigmoid")
        .describe("DPO's loss, or SimPO's: means a token, a margin, no reference (its authors: beta 2 to 2.5)"),
      beta: positive().default(0.1).describe("strength of the tie to the reference; simpo: scale of the means"),
      simpo_gamma: z.number().min(0).default(0.5).describe("simpo: the margin asked for"),
      max_steps: count().default(100).describe("optimizer steps"),
      pairs_per_batch: count().default(64).describe("pairs of responses a step"),
    })
    .prefault({}),
  optim: z
    .strictObject({
      learning_rate: z.number().min(0).default(5e-6).describe("peak learning rate"),
      adam_beta1: fraction().default(0.9).describe("decay of the first moment"),
      adam_beta2: fraction().default(0.95).describe("decay of the second moment"),
      adam_epsilon: positive().default(1e-8).describe("added to the root of the second moment"),
      weight_decay: z.number().min(0).default(0).describe("decoupled weight decay"),
      max_grad_norm: positive().default(1).describe("the gradient's global norm is clipped to this"),
      state_dtype: z
        .enum(["float32", "bfloat16"])
        .default("float32")
        .describe(
          "storage of Adam's moments; bfloat16 rounds them stochastically, and a bfloat16 model's weights with them instead of keeping float32 copies",
        ),
      offload: z
        .boolean()
        .default(false)
        .describe("keep Adam's moments and the float32 copies in host memory, on the device for their step alone"),
      lr_scheduler_type: z.enum(LR_SCHEDULERS).default("constant_with_warmup").describe("what follows the warm-up"),
      warmup_steps: count(0).default(6).describe("optimizer steps of linear warm-up from 0"),
    })
    .prefault({}),
  engine: z
    .strictObject({
      block_size: count().default(16).describe("positions in a block of the KV cache"),
      kv_cache_bytes: count().optional().describe("memory for keys and values; default 1 GiB at most"),
      max_num_seqs: count().default(256).describe("sequences that decode together"),
      max_model_len: count().optional().describe("prompt and response together; default the model's context"),
    })
    .prefault({}),
  train: z
    .strictObject({
      seed: count(0).default(42).describe("everything drawn depends on it"),
      tokens_per_micro_batch: count().default(8192).describe("tokens that go through the model at once"),
      save_every: count().default(10).describe("iterations (sft: steps) between checkpoints"),
      save_total_limit: count().optional().describe("checkpoints kept: the newest ones; unset keeps all"),
      eval_every: count()
        .optional()
        .describe(
          "iterations between evaluations on held-out problems, sampled as eval says; unset: none (train alone)",
        ),
      eval_problems: count()
        .default(200)
        .describe(
          "held-out problems of such an evaluation, from the end of the task's list; pith eval begins at its start",
        ),
      best: z
        .string()
        .default("accuracy >= base - 0.01, fewest tokens")
        .superRefine((rule, context) => {
          try {
            parseBestRule(rule);
          } catch (error) {
            context.addIssue({ code: "custom", message: (error as Error).message });
          }
        })
        .describe(
          "which evaluated checkpoint is the best, and is kept: accuracy >= a number, base, or base less or plus one, then fewest tokens or highest accuracy; base is the initial model's",
        ),
      early_stopping_patience: count()
        .optional()
        .describe("evaluations without a better one after which training ends"),
      output_dir: z.string().default("runs/run").describe("the run's folder; a run found there is resumed"),
    })
    .prefault({}),
  eval: z
    .strictObject({
      num_problems: count().default(500).describe("held-out problems"),
      num_samples: count().default(1).describe("responses to each"),
      temperature: z.number().min(0).default(0.6).describe("0 is greedy"),
      top_p: positive().max(1).default(1).describe("as rl.top_p"),
      top_k: count(0).default(0).describe("as rl.top_k"),
      min_p: fraction().default(0).describe("as rl.min_p"),
      stop: z.array(z.string().min(1)).default([]).describe("as rl.stop"),
      max_completion_length: count().default(32768).describe("response tokens at most"),
      seed: count(0).default(0).describe("seed of the evaluation's samples"),
    })
    .prefault({}),
  device: z
    .strictObject({
      adapter: z
        .string()
        .optional()
        .describe("part of the adapter's name; default PITH_ADAPTER, else the host's choice"),
      layers: z
        .array(count())
        .min(2)
        .optional()
        .describe(
          "the model's layers split over so many equal GPUs: how many each has, first to last (docs/memory.md)",
        ),
    })
    .prefault({}),
});

export type Config = z.infer<typeof configSchema>;
export type Json = Record<string, unknown>;

/** Defaults, then TOML files from left to right, then `overrides` (parsed flags). Anything unknown or out of range is a ConfigError. */
export async function loadConfig(files: Files, paths: readonly string[], overrides: Json): Promise<Config> {
  let merged: Json = {};
  for (const path of paths) {
    const text = await files.readText(path);
    try {
      merged = deepMerge(merged, parseToml(text) as Json);
    } catch (error) {
      throw new ConfigError(`${path}: ${(error as Error).message.split("\n")[0]}`, { cause: error });
    }
  }
  return parseConfig(deepMerge(merged, overrides));
}

export function parseConfig(json: unknown): Config {
  const result = configSchema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  if (issue.code === "unrecognized_keys") {
    const key = [...issue.path, issue.keys[0]!].join(".");
    throw new ConfigError(
      `unknown configuration key ${key}; did you mean ${nearest(
        key,
        configKeys().map((known) => known.key),
      )}?`,
    );
  }
  const path = issue.path.join(".");
  const got = issue.path.reduce<unknown>((value, part) => (value as Json | undefined)?.[part as string], json);
  throw new ConfigError(`${path}: got ${JSON.stringify(got)}; ${issue.message}`);
}

/** `over` laid upon `base`, section by section. */
export function deepMerge(base: Json, over: Json): Json {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = merged[key];
    merged[key] = isObject(before) && isObject(value) ? deepMerge(before, value) : value;
  }
  return merged;
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export interface ConfigKey {
  /** `section.key` */
  key: string;
  description: string;
  default: unknown;
  schema: z.ZodType;
}

/** Every key with its default and description. */
export function configKeys(): ConfigKey[] {
  const defaults = configSchema.parse({}) as Record<string, Json>;
  return Object.entries(configSchema.shape).flatMap(([section, schema]) => {
    const { shape } = schema.unwrap() as z.ZodObject;
    return Object.entries(shape).map(([name, leaf]) => ({
      key: `${section}.${name}`,
      description: (leaf as z.ZodType).description ?? "",
      default: defaults[section]![name],
      schema: leaf as z.ZodType,
    }));
  });
}
