import type { Advantage, ScaleRewards } from "../core/advantage.ts";
import type { LengthRewardName, Numbers } from "../core/length-rewards/index.ts";
import type { Config } from "../run/config.ts";
import type { Experiment, Overrides } from "./experiment.ts";
import { DPO_STEPS, SFT_STEPS } from "./plan.ts";

/** Weak, middle and strong: values of the method's own knob. */
export type Strengths = readonly [weak: number, middle: number, strong: number];

/** A method at three strengths. */
export interface ArenaMethod {
  name: string;
  knob: string;
  strengths: Strengths;
  /** The command that trains it. */
  trainer: Experiment["trainer"];
  /** How its advantages are taken, where it has any. */
  advantages: string;
  overrides(strength: number): Overrides;
  samples?: string;
}

/** What the runs of an arena have in common. */
export interface ArenaSize {
  /** configs/start.toml. */
  config: Pick<Config, "rl">;
  /** Mean tokens of the base model's responses. */
  baseTokens: number;
  /** Response tokens that a run samples. */
  budget: number;
}

/** Response tokens that each run samples: about six iterations of the bundled reasoner's first responses, more as they get shorter. */
export const BUDGET = 90_000;

/**
 * Problems of the methods that need each to come again: a quarter of the budget goes once through them at the base model's length, for
 * HAPO's record and for O1-Pruner's first pass.
 */
const COMES_AGAIN = { options: { num_train: 25 } };

/** Responses to a prompt of the methods that learn from samples. */
const SAMPLES = 8;
/** They have a quarter of reproduce's responses: for as many passes over them, a quarter and a third of its steps, DPO's larger ones. */
const FEW_SFT_STEPS = { ...SFT_STEPS, sft: { ...SFT_STEPS.sft, max_steps: SFT_STEPS.sft.max_steps / 4 } };
const FEW_DPO_STEPS = {
  dpo: { ...DPO_STEPS.dpo, max_steps: DPO_STEPS.dpo.max_steps / 3 },
  optim: { ...DPO_STEPS.optim, learning_rate: 5 * DPO_STEPS.optim.learning_rate },
};

const SCALING_WORDS: Record<ScaleRewards, string> = {
  none: "as they are",
  batch: "over the batch's deviation",
  group: "over the group's deviation",
};

/** A length reward with its published advantages; `options` are its numbers at a strength. */
function lengthReward(
  name: LengthRewardName,
  knob: string,
  strengths: Strengths,
  [advantage, scale]: readonly [Advantage, ScaleRewards],
  options: (strength: number) => Numbers = (strength) => ({ [knob]: strength }),
  task?: Overrides[string],
): ArenaMethod {
  return {
    name,
    knob,
    strengths,
    trainer: "train",
    advantages: SCALING_WORDS[scale],
    overrides: (strength) => ({
      rl: { length_reward: name, length_reward_options: options(strength), advantage, scale_rewards: scale },
      ...(task ? { task } : {}),
    }),
  };
}

const CENTRED = ["grpo", "none"] as const;
const BY_GROUP = ["rloo", "group"] as const;
/** Where the source leaves it open. */
const AS_THE_PAPER = ["rloo", "none"] as const;

/** The paper's method under a normalisation of its advantages. */
const sigmoid = (scale: ScaleRewards): ArenaMethod => ({
  name: scale === "none" ? "sigmoid" : `sigmoid, ${scale}`,
  knob: "alpha",
  strengths: [0.05, 0.2, 0.4],
  trainer: "train",
  advantages: SCALING_WORDS[scale],
  overrides: (alpha) => ({ rl: { alpha, scale_rewards: scale } }),
});

/**
 * The methods. A published constant for thousands of tokens is inert on tens, so that strengths are chosen by what they do: what a
 * method's length term varies by within a group of correct responses, as a share of what a correct answer earns above a wrong one, is
 * about what the paper's varies by at alpha 0.05, 0.2 and 0.4. That is alpha times 0.21, the deviation of sigmoid(z) over normal z:
 * 0.010, 0.042 and 0.083. The bundled reasoner's responses to one problem have a deviation of about half their mean of 125 tokens, at
 * most 256. Where a knob cannot be set so, its comment says by what it is. Advantages are normalised as the source does.
 */
export const ARENA_METHODS: readonly ArenaMethod[] = [
  sigmoid("none"),
  // lambda's deviation over eight responses is 0.35.
  lengthReward("kimi", "weight", [0.03, 0.12, 0.24], CENTRED),
  // The length term is fixed, with a deviation of about 0.43: lambda is what correctness weighs, and the smaller, the stronger.
  // Rewards are standardised over the iteration, as the source does over its data set.
  lengthReward("o1_pruner", "lambda", [40, 10, 5], ["batch", "batch"], undefined, COMES_AGAIN),
  // Correctness is worth 2; 57 tokens of deviation.
  lengthReward("shorter_better", "per_token", [0.00035, 0.0015, 0.0029], BY_GROUP),
  // Correct and wrong are 2 apart; exp(-a z) deviates by a.
  lengthReward("grpo_lead", "a", [0.02, 0.08, 0.16], BY_GROUP, (a) => ({ a, free_length: 0 })),
  // 57 tokens of deviation where nearly all are correct.
  lengthReward("alp", "beta", [0.00018, 0.00074, 0.0015], BY_GROUP),
  // What a response at the limit loses if it is correct, and what it is spared if it is wrong; the published value is 0.5.
  lengthReward("cosine", "drop", [0.1, 0.4, 0.7], AS_THE_PAPER, (drop) => ({
    correct_long: 1 - drop,
    wrong_long: drop - 1,
  })),
  // Its slope is the steeper the less it reaches: a quarter, half and all of the limit, where a fifth is published.
  lengthReward("soft_overlong", "buffer", [64, 128, 256], AS_THE_PAPER),
  // The bonus is fixed: targets that about 65%, 35% and 13% of the base model's correct responses are within.
  lengthReward("laser", "target", [165, 100, 60], BY_GROUP),
  // L / longest has a deviation of 0.3; the published value is 0.25.
  lengthReward("linear", "weight", [0.035, 0.14, 0.28], CENTRED),
  // Most responses are beyond 1.5 times the record at first, where f is at its floor: a deviation of about 0.25.
  lengthReward("hapo", "weight", [0.04, 0.16, 0.32], BY_GROUP, undefined, COMES_AGAIN),
  // No length term, and none of DLER's clip, loss and resampling: limits within which 60%, 43% and 20% of the base model's problems are
  // solved, after three iterations at half as much again.
  {
    name: "dler",
    knob: "limit",
    strengths: [155, 110, 80],
    trainer: "train",
    advantages: SCALING_WORDS.batch,
    overrides: (limit) => ({
      rl: {
        alpha: 0,
        max_completion_length: [
          [0, Math.round(1.5 * limit)],
          [3, limit],
        ],
        advantage: "grpo",
        scale_rewards: "batch",
      },
    }),
  },
  // The shortest correct one of so many: the more there are, the shorter it is.
  {
    name: "sft",
    knob: "shortest of",
    strengths: [4, 8, 16],
    trainer: "sft",
    advantages: "-",
    overrides: (n) => ({ ...FEW_SFT_STEPS, rl: { num_generations: n } }),
  },
  // The tie to the initial model: the looser, the stronger.
  {
    name: "dpo",
    knob: "beta",
    strengths: [0.3, 0.1, 0.03],
    trainer: "dpo",
    advantages: "-",
    overrides: (beta) => ({ ...FEW_DPO_STEPS, dpo: { ...FEW_DPO_STEPS.dpo, beta } }),
    samples: "sft-8",
  },
  // By how much the shorter response shall be preferred, at its authors' smallest beta.
  {
    name: "simpo",
    knob: "gamma",
    strengths: [0.2, 0.5, 1],
    trainer: "dpo",
    advantages: "-",
    overrides: (gamma) => ({
      ...FEW_DPO_STEPS,
      dpo: { ...FEW_DPO_STEPS.dpo, loss_type: "simpo", beta: 2, simpo_gamma: gamma },
    }),
    samples: "sft-8",
  },
];

/** What is not in it, and why. */
export const LEFT_OUT =
  "l1_exact and l1_max: they need a target in the prompt, and the arithmetic task cannot state one";

/** Of the second experiment: this paper's method under each normalisation. */
export const SCALINGS: readonly ArenaMethod[] = [sigmoid("none"), sigmoid("batch"), sigmoid("group")];
const ALPHAS = [0.05, 0.2, 0.4];

export interface ArenaPlan {
  /** Every method at its three strengths; `quick`: at the middle one. */
  methods: Experiment[];
  /** Alpha times scale_rewards; those that are among the methods are the same runs. */
  scalings: Experiment[];
}

/**
 * The arena's experiments. Each samples `budget` response tokens: reinforcement learning ends with the iteration that reaches them, and
 * what learns from samples draws responses to as many prompts as the base model's length leaves room for. Learning rates do not
 * depend on how many iterations that is: configs/start.toml's peak after its warm-up. Sources differ in their KL
 * penalty, which is not compared here: no run has one.
 */
export function arenaPlan({ quick, ...size }: ArenaSize & { quick: boolean }): ArenaPlan {
  const at = (method: ArenaMethod, strength: number) => experimentOf(method, strength, size);
  return {
    methods: ARENA_METHODS.flatMap((method) =>
      (quick ? [method.strengths[1]] : method.strengths).map((strength) => at(method, strength)),
    ),
    scalings: SCALINGS.flatMap((method) =>
      (quick ? [ALPHAS[0]!, ALPHAS.at(-1)!] : ALPHAS).map((alpha) => at(method, alpha)),
    ),
  };
}

/** Its runs, each once. */
export const runsOf = ({ methods, scalings }: ArenaPlan): Experiment[] => [
  ...new Map([...methods, ...scalings].map((experiment) => [experiment.name, experiment])).values(),
];

function experimentOf(method: ArenaMethod, strength: number, size: ArenaSize): Experiment {
  const { name, knob, trainer, samples } = method;
  const own = method.overrides(strength);
  return {
    name: `${name.replaceAll(", ", "-")}-${strength}`,
    method: name,
    knob,
    strength,
    trainer,
    overrides: trainer === "train" ? withIterations(own, size) : withSamples(own, size),
    ...(samples === undefined ? {} : { samples }),
  };
}

/** Checkpoints are for resuming alone. */
const KEEP = { save_total_limit: 1 };

function withIterations(own: Overrides, { config: { rl }, budget }: ArenaSize): Overrides {
  // A response has a token at least: the bound on iterations is never what ends a run.
  const iterations = Math.ceil(budget / (rl.num_prompts * rl.num_generations));
  return {
    ...own,
    rl: { ...own["rl"], beta: 0, max_sampled_tokens: budget, max_iterations: iterations },
    optim: { lr_scheduler_type: "constant_with_warmup" },
    train: KEEP,
  };
}

function withSamples(own: Overrides, { baseTokens, budget }: ArenaSize): Overrides {
  const generations = Number(own["rl"]?.["num_generations"] ?? SAMPLES);
  const prompts = Math.max(1, Math.floor(budget / (generations * baseTokens)));
  return {
    ...own,
    rl: { ...own["rl"], num_generations: generations },
    rejection: { num_prompts: prompts },
    train: KEEP,
  };
}
