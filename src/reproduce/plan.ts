import type { Experiment } from "./experiment.ts";

const rl = (alpha: number): Experiment => ({
  name: `alpha-${alpha}`,
  method: "RL",
  knob: "alpha",
  strength: alpha,
  trainer: "train",
  overrides: { rl: { alpha } },
  evaluatesCheckpoints: true,
});

/** Figure 6's ablation. */
const normalised = (alpha: number): Experiment => ({
  name: `normalised-alpha-${alpha}`,
  method: "RL, normalised",
  knob: "alpha",
  strength: alpha,
  trainer: "train",
  overrides: { rl: { alpha, scale_rewards: "group" } },
});

/** Steps of the offline methods, and the schedule that they share. */
const SCHEDULE = { lr_scheduler_type: "cosine", warmup_steps: 4 };
export const SFT_STEPS = {
  sft: { data: "shortest_correct", max_steps: 100, tokens_per_batch: 4096 },
  optim: { ...SCHEDULE, learning_rate: 3e-4 },
};
export const DPO_STEPS = {
  dpo: { max_steps: 60, pairs_per_batch: 32 },
  optim: { ...SCHEDULE, learning_rate: 3e-5 },
};

/** Prompts that the paper's offline baselines sample, eight responses to each. */
const REJECTION = { rejection: { num_prompts: 400 } };
const SINGLE = { knob: null, strength: null };

const SFT: Experiment = {
  ...SINGLE,
  name: "sft",
  method: "SFT",
  trainer: "sft",
  overrides: { ...REJECTION, ...SFT_STEPS },
};

const DPO: Experiment = {
  ...SINGLE,
  name: "dpo",
  method: "DPO",
  trainer: "dpo",
  overrides: { ...REJECTION, ...DPO_STEPS, dpo: { ...DPO_STEPS.dpo, beta: 0.1 } },
  samples: "sft",
};

/** The paper's values of alpha, its baselines and its ablation; `quick` keeps the ends and a middle. */
export function experiments({ quick }: { quick: boolean }): Experiment[] {
  const alphas = quick ? [0, 0.1, 0.4] : [0, 0.05, 0.1, 0.2, 0.4];
  return [...alphas.map(rl), SFT, DPO, ...(quick ? [0.1] : [0.05, 0.4]).map(normalised)];
}

/** Limits in tokens at which the base model's samples are cut off. */
export const CUTOFFS = [30, 40, 50, 60, 70, 80, 100, 120, 150];
