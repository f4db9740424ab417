import type { Group } from "../group.ts";
import { ALP, alpRewards } from "./alp.ts";
import { COSINE, cosineRewards } from "./cosine.ts";
import { GRPO_LEAD, grpoLeadRewards } from "./grpo-lead.ts";
import { HAPO, hapoRewards } from "./hapo.ts";
import { KIMI, kimiRewards } from "./kimi.ts";
import { L1_EXACT, l1ExactRewards } from "./l1-exact.ts";
import { L1_MAX, l1MaxRewards } from "./l1-max.ts";
import { LASER, laserRewards } from "./laser.ts";
import { LINEAR, linearRewards } from "./linear.ts";
import { O1_PRUNER, o1PrunerRewards, type InitialModel } from "./o1-pruner.ts";
import { SHORTER_BETTER, shorterBetterRewards } from "./shorter-better.ts";
import { lengthRewards } from "./sigmoid.ts";
import { SOFT_OVERLONG, softOverlongRewards } from "./soft-overlong.ts";

export type Numbers = Readonly<Record<string, number>>;

/** What a length reward may need to know of a problem besides its group. */
export interface Reference {
  /** For o1_pruner. */
  initial?: InitialModel;
  /** For hapo: tokens of the shortest correct response so far. */
  record?: number | null;
  /** For l1_exact and l1_max: tokens that the prompt asks for. */
  target?: number;
}

export interface RewardContext {
  alpha: number;
  /** Tokens allowed. */
  maxLength: number;
  reference: Reference;
}

export interface LengthReward {
  /** The published values of its numbers: all that it takes. */
  defaults: Numbers;
  /** What of the reference it cannot do without. */
  needs?: keyof Reference;
  /** Why a run would not feel it, given its numbers; null where it would. */
  inert(options: Numbers, run: { maxLength: number; scaleRewards: string }): string | null;
  /** R of each response of the group. */
  rewards(group: Group, options: Numbers, context: RewardContext): number[];
}

type Run = Parameters<LengthReward["inert"]>[1];

function define<O extends Numbers>(
  defaults: O,
  rewards: (group: Group, options: O, context: RewardContext) => number[],
  { needs, inert }: { needs?: keyof Reference; inert?: (options: O, run: Run) => string | null } = {},
): LengthReward {
  return {
    defaults,
    ...(needs ? { needs } : {}),
    inert: (options, run) => inert?.({ ...defaults, ...options }, run) ?? null,
    rewards: (group, options, context) => rewards(group, { ...defaults, ...options }, context),
  };
}

/** Below this share of a correct answer's reward, a length term drowns in which answers happen to be correct. */
const FELT = 0.01;

/** A constant per token that was published with group-normalised advantages, which blow any spread up. */
const perToken =
  <K extends string>(name: K) =>
  (options: Record<K, number>, { maxLength, scaleRewards }: Run): string | null => {
    const most = options[name] * maxLength;
    return scaleRewards === "group" || most >= FELT
      ? null
      : `${name} = ${options[name]} is at most ${Number(most.toPrecision(2))} over ${maxLength} tokens, and was published with scale_rewards "group"; set ${name} near 0.1 / ${maxLength}`;
  };

const beyondLimit =
  <K extends string>(name: K) =>
  (options: Record<K, number>, { maxLength }: Run): string | null =>
    options[name] >= maxLength
      ? `${name} = ${options[name]} is not below the ${maxLength} tokens that a response may have`
      : null;

/** The rewards of `rl.length_reward`, by its names. */
export const LENGTH_REWARDS = {
  sigmoid: define({}, (group, _, { alpha }) => lengthRewards(group, alpha)),
  kimi: define(KIMI, kimiRewards),
  o1_pruner: define(O1_PRUNER, (group, options, { reference }) => o1PrunerRewards(group, options, reference.initial!), {
    needs: "initial",
  }),
  shorter_better: define(SHORTER_BETTER, shorterBetterRewards, { inert: perToken("per_token") }),
  grpo_lead: define(GRPO_LEAD, grpoLeadRewards, { inert: beyondLimit("free_length") }),
  alp: define(ALP, alpRewards, { inert: perToken("beta") }),
  cosine: define(COSINE, (group, options, { maxLength }) => cosineRewards(group, options, maxLength)),
  soft_overlong: define(SOFT_OVERLONG, (group, options, { maxLength }) =>
    softOverlongRewards(group, options, maxLength),
  ),
  laser: define(LASER, laserRewards, { inert: beyondLimit("target") }),
  linear: define(LINEAR, linearRewards),
  l1_exact: define(L1_EXACT, (group, options, { reference }) => l1ExactRewards(group, options, reference.target!), {
    needs: "target",
    inert: perToken("alpha"),
  }),
  l1_max: define(L1_MAX, (group, options, { reference }) => l1MaxRewards(group, options, reference.target!), {
    needs: "target",
    inert: perToken("alpha"),
  }),
  hapo: define(HAPO, (group, options, { reference }) => hapoRewards(group, options, reference.record ?? null)),
} satisfies Record<string, LengthReward>;

export type LengthRewardName = keyof typeof LENGTH_REWARDS;
export const LENGTH_REWARD_NAMES = Object.keys(LENGTH_REWARDS) as [LengthRewardName, ...LengthRewardName[]];
