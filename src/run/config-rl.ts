import { z } from "zod";
import { LOSS_TYPES } from "../core/aggregation.ts";
import { ADVANTAGES, SCALE_REWARDS } from "../core/advantage.ts";
import { LENGTH_REWARD_NAMES, LENGTH_REWARDS } from "../core/length-rewards/index.ts";
import { IMPORTANCE_SAMPLING_LEVELS } from "../core/ratio.ts";
import type { Stages } from "../core/schedule.ts";
import { count, fraction, positive } from "./ranges.ts";

const areStages = (stages: Stages) =>
  typeof stages === "number" || stages.every(([from], i) => (i === 0 ? from === 0 : from > stages[i - 1]![0]));

/** The section [rl]: how is sampled, rewarded and compared. */
export const rlSchema = z
  .strictObject({
    alpha: fraction().default(0.1).describe("weight of length in the reward: 0 pays for correctness alone"),
    target_length: positive()
      .optional()
      .describe("mean response tokens to shorten to: alpha is steered by the length, rl.alpha is not used"),
    max_accuracy_drop: fraction()
      .optional()
      .describe("loss of accuracy that shortening may cost: alpha is steered by it, rl.alpha is not used"),
    num_prompts: count().default(32).describe("prompts an iteration"),
    num_generations: count().default(8).describe("responses to each prompt"),
    num_steps: count().default(2).describe("optimizer steps a pass over an iteration's responses"),
    num_iterations: count().default(1).describe("passes over an iteration's responses"),
    max_iterations: count().default(100).describe("iterations in all"),
    max_sampled_tokens: count()
      .optional()
      .describe("response tokens to sample in all: training ends after the iteration that reaches them"),
    lag: count(0)
      .max(1)
      .default(0)
      .describe(
        "1: an iteration's responses come from the weights before the last update, so that others may draw meanwhile",
      ),
    dynamic_sampling: count(0)
      .default(0)
      .describe(
        "rounds at most in which prompts whose responses all earn the same are replaced by others; 0 keeps them",
      ),
    screen_generations: count(0)
      .default(0)
      .describe(
        "with rl.dynamic_sampling: responses drawn first, by which prompts are replaced; the others are drawn to those kept; 0 draws all at once",
      ),
    max_completion_length: z
      .union([count(), z.array(z.tuple([count(0), count()])).min(1)])
      .refine(areStages, { message: "expected a number, or [from, tokens] with from rising from 0" })
      .default(32000)
      .describe("response tokens at most, or [[0, 4000], [50, 3000]] by iteration; a response cut off counts as wrong"),
    temperature: z.number().min(1e-5).default(1).describe("sampling temperature"),
    top_p: positive()
      .max(1)
      .default(1)
      .describe("keep the most probable tokens that reach this probability; 1 keeps all"),
    top_k: count(0).default(0).describe("keep the k most probable tokens; 0 keeps all"),
    min_p: fraction()
      .default(0)
      .describe("keep the tokens of at least this times the most probable one's probability; 0 keeps all"),
    stop: z.array(z.string().min(1)).default([]).describe("strings that end a response, as vLLM has it"),
    beta: z.number().min(0).default(0.001).describe("KL coefficient; 0 needs no reference model"),
    kl_estimator: z
      .enum(["none", "k1", "k2", "k3"])
      .default("none")
      .describe("none: KL in the reward (the paper's code); otherwise a term of the loss"),
    epsilon: positive().max(1).default(0.2).describe("PPO's clip range"),
    epsilon_high: positive()
      .optional()
      .describe("its upper half, default epsilon; with cispo the cap of the ratio itself, default 1 + epsilon"),
    delta: positive().optional().describe("cap of the ratio where the advantage is negative (dual clip)"),
    scale_rewards: z
      .enum(SCALE_REWARDS)
      .default("none")
      .describe("normalisation of advantages: none (the paper), batch (its released code), group (GRPO)"),
    loss_type: z
      .enum(LOSS_TYPES)
      .default("grpo")
      .describe(
        "grpo: mean over a response's tokens, then responses; dapo: over all tokens; dr_grpo: their sum over responses times tokens allowed; cispo: dapo with the ratio held constant",
      ),
    advantage: z
      .enum(ADVANTAGES)
      .default("rloo")
      .describe(
        "what a reward is compared with: the mean of the prompt's others (rloo), that drawn towards other prompts' (shrinkage), of all of the prompt's (grpo), of the iteration's (batch)",
      ),
    importance_sampling_level: z
      .enum(IMPORTANCE_SAMPLING_LEVELS)
      .default("token")
      .describe("a ratio for each token, or one for a response (GSPO)"),
    mask_truncated_completions: z
      .boolean()
      .default(false)
      .describe("leave responses that were cut off out of the loss"),
    length_reward: z
      .enum(LENGTH_REWARD_NAMES)
      .default("sigmoid")
      .describe("how length is rewarded: sigmoid (the paper, by rl.alpha), or another of docs/methods.md"),
    length_reward_options: z
      .record(z.string(), z.number())
      .default({})
      .describe("the length reward's own numbers, where they are not the published ones"),
    rewards: z
      .array(z.strictObject({ name: z.string().min(1), weight: z.number().default(1) }))
      .min(1)
      .default([{ name: "correct", weight: 1 }])
      .describe("what is summed: correct (the task's verdict with the length reward), or modules by their path"),
  })
  .refine((rl) => rl.target_length === undefined || rl.max_accuracy_drop === undefined, {
    message: "expected one goal, target_length or max_accuracy_drop",
  })
  .refine((rl) => rl.length_reward === "sigmoid" || (rl.target_length ?? rl.max_accuracy_drop) === undefined, {
    path: ["length_reward"],
    message: "expected sigmoid with target_length or max_accuracy_drop, which steer its alpha",
  })
  .refine((rl) => rl.dynamic_sampling === 0 || (rl.target_length ?? rl.max_accuracy_drop) === undefined, {
    path: ["dynamic_sampling"],
    message: "expected 0 with target_length or max_accuracy_drop, which steer by what all prompts' responses measure",
  })
  .refine((rl) => rl.dynamic_sampling === 0 || rl.lag === 0, {
    path: ["dynamic_sampling"],
    message: "expected 0 with rl.lag, which draws before it is known what an iteration lacks",
  })
  .refine((rl) => rl.screen_generations === 0 || rl.dynamic_sampling > 0, {
    path: ["screen_generations"],
    message: "expected 0 without rl.dynamic_sampling, whose rounds replace what the first responses show; set both",
  })
  .refine(({ screen_generations: screen, num_generations: n }) => screen === 0 || (screen >= 2 && screen < n), {
    path: ["screen_generations"],
    message: "expected 0, or at least 2 and below rl.num_generations: some responses to compare, and some left",
  })
  .superRefine((rl, context) => {
    const { defaults } = LENGTH_REWARDS[rl.length_reward];
    const unknown = Object.keys(rl.length_reward_options).find((name) => !Object.hasOwn(defaults, name));
    if (unknown === undefined) return;
    const names = Object.keys(defaults).join(", ") || "none, for alpha is its only one";
    context.addIssue({
      code: "custom",
      path: ["length_reward_options", unknown],
      message: `the numbers of ${rl.length_reward} are: ${names}`,
    });
  })
  .prefault({});
