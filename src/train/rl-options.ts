import type { AlphaGoal } from "../core/alpha-control.ts";
import type { LossType } from "../core/aggregation.ts";
import type { ImportanceSamplingLevel } from "../core/ratio.ts";
import type { LrScheduler, Stages } from "../core/schedule.ts";
import type { EngineOptions } from "../engine/engine-size.ts";
import type { KlEstimator } from "../kernels/policy-gradient.ts";
import type { RewardOptions } from "./rewards.ts";

export interface RlOptions extends RewardOptions {
  /** The weight of length in the reward, 0 to 1, or what to steer it by. Read in each iteration, so it may be replaced between two. */
  alpha: AlphaGoal;
  /** Prompts an iteration, and responses to each. */
  numPrompts: number;
  numGenerations: number;
  /** Optimizer steps a pass over an iteration's responses. */
  numSteps: number;
  /** Such passes; from the second on everything is off-policy. */
  numIterations: number;
  maxIterations: number;
  /** Training ends after the iteration in which the response tokens sampled reach this; no bound by default. */
  maxSampledTokens?: number | undefined;
  /** Iteration i trains on responses from the weights after iteration i - lag (iteration 0 and, with lag 1, 1: from the first). */
  lag: number;
  /** Rounds at most in which prompts without a spread in reward are replaced. */
  dynamicSampling: number;
  /** Responses by which they are found, drawn before a prompt's others; 0: all of them. */
  screenGenerations: number;
  maxCompletionLength: Stages;
  temperature: number;
  topK: number;
  topP: number;
  minP?: number;
  stop?: readonly string[];
  /** KL coefficient: in the reward where klEstimator is "none" (the paper's code), otherwise in the loss. */
  beta: number;
  klEstimator: KlEstimator;
  epsilon: number;
  /** Default `epsilon`; with the loss type cispo the cap of the ratio itself, default 1 + epsilon. */
  epsilonHigh?: number | undefined;
  /** Cap of the ratio where the advantage is negative; none by default. */
  delta?: number | undefined;
  importanceSamplingLevel: ImportanceSamplingLevel;
  /** Responses that were cut off are not trained on. */
  maskTruncatedCompletions: boolean;
  lossType: LossType;
  learningRate: number;
  scheduler: LrScheduler;
  warmupSteps: number;
  tokensPerMicroBatch: number;
  recompute: boolean;
  seed: number;
  engine: EngineOptions;
}

/** The paper's method, among what else the options can say. */
export const PAPER = {
  numIterations: 1,
  lag: 0,
  dynamicSampling: 0,
  screenGenerations: 0,
  lengthReward: "sigmoid",
  lengthRewardOptions: {},
  importanceSamplingLevel: "token",
  maskTruncatedCompletions: false,
  advantage: "rloo",
  scaleRewards: "none",
  lossType: "grpo",
} as const satisfies Partial<RlOptions>;
