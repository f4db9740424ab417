/** The methods of the paper's tables; "RL, normalised" is figure 6's ablation. */
export type Method = "RL" | "RL, normalised" | "SFT" | "DPO";

/** One training run of the reproduction, to be done once for each seed. */
export interface Experiment {
  /** Name of its folder. */
  name: string;
  method: Method;
  alpha: number | null;
  /** What it changes of configs/start.toml, by section. */
  overrides: Record<string, Record<string, unknown>>;
}

const rl = (alpha: number): Experiment => ({
  name: `alpha-${alpha}`,
  method: "RL",
  alpha,
  overrides: { rl: { alpha } },
});

const normalised = (alpha: number): Experiment => ({
  name: `normalised-alpha-${alpha}`,
  method: "RL, normalised",
  alpha,
  overrides: { rl: { alpha, scale_rewards: "group" } },
});

/** Prompts that the offline baselines sample, eight responses to each, and the schedule that both share. */
const OFFLINE = { rejection: { num_prompts: 400 } };
const SCHEDULE = { lr_scheduler_type: "cosine", warmup_steps: 4 };

const SFT: Experiment = {
  name: "sft",
  method: "SFT",
  alpha: null,
  overrides: {
    ...OFFLINE,
    sft: { data: "shortest_correct", max_steps: 100, tokens_per_batch: 4096 },
    optim: { ...SCHEDULE, learning_rate: 3e-4 },
  },
};

const DPO: Experiment = {
  name: "dpo",
  method: "DPO",
  alpha: null,
  overrides: {
    ...OFFLINE,
    dpo: { beta: 0.1, max_steps: 60, pairs_per_batch: 32 },
    optim: { ...SCHEDULE, learning_rate: 3e-5 },
  },
};

/** The paper's values of alpha, its baselines and its ablation; `quick` keeps the ends and a middle. */
export function experiments({ quick }: { quick: boolean }): Experiment[] {
  const alphas = quick ? [0, 0.1, 0.4] : [0, 0.05, 0.1, 0.2, 0.4];
  return [...alphas.map(rl), SFT, DPO, ...(quick ? [0.1] : [0.05, 0.4]).map(normalised)];
}

/** Limits in tokens at which the base model's samples are cut off. */
export const CUTOFFS = [30, 40, 50, 60, 70, 80, 100, 120, 150];
