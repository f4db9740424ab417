/**
 * Pith's public API. Nothing here knows its host: a device and files come from pith/node, pith/deno or pith/web. Options are made
 * from a configuration: trainRl(setup, rlOptions(parseConfig({ rl: { alpha: 0.2 } }))).
 */
export * from "./errors.ts";
export { DeviceGpu } from "./gpu/device-gpu.ts";
export type { Gpu, Scope } from "./gpu/gpu.ts";
export { Tensor, type DType, type Storage } from "./gpu/tensor.ts";
export { Model, readModelConfig, type ModelDType } from "./model/model.ts";
export { parseModelConfig, type ModelConfig } from "./model/config.ts";
export { LLM, type Completion, type GenerateRequest, type RequestOutput } from "./engine/llm.ts";
export type { EngineOptions } from "./engine/engine-size.ts";
export type { SamplingParams } from "./engine/sampling-params.ts";
export { loadTokenizer, Tokenizer } from "./hf/tokenizer.ts";
export { lengthRewards, lengthStatistics } from "./core/length-rewards/sigmoid.ts";
export {
  LENGTH_REWARDS,
  type LengthReward,
  type LengthRewardName,
  type Reference,
} from "./core/length-rewards/index.ts";
export {
  groupAdvantages,
  groupNormalisedAdvantages,
  rlooAdvantages,
  shrinkageAdvantages,
  whiten,
} from "./core/advantage.ts";
export { k1, rewardToGo } from "./core/kl.ts";
export type { Group, Outcome } from "./core/group.ts";
export type { Solution } from "./core/solutions.ts";
export {
  compareAnswers,
  grade,
  GRADERS,
  type Grader,
  type Grade,
  type GradeOptions,
  type Verdict,
} from "./grader/grade.ts";
export type { Judgement, Problem, Task, TaskFactory, TaskOptions } from "./tasks/task.ts";
export { AdamW, type AdamWOptions } from "./train/optimizer.ts";
export { evaluate, type Evaluation } from "./train/evaluate.ts";
export { sampleRollouts, type Rollout, type RolloutRow } from "./train/rollouts.ts";
export { loadRewards, type NamedReward, type RewardFunction, type RewardInputs } from "./train/rewards.ts";
export { trainRl, type RlIteration, type RlMetrics } from "./train/rl.ts";
export type { RlOptions } from "./train/rl-options.ts";
export { trainDpo, type DpoMetrics, type DpoOptions, type PreferencePair } from "./train/dpo.ts";
export { demonstrations, trainSft, type Example, type SftMetrics, type SftOptions } from "./train/sft.ts";
export { policyGradient, preferenceGradient, supervisedGradient, tokenLogprobs } from "./train/policy.ts";
export type { Files } from "./runtime/types.ts";
export { stopTokenIds } from "./hf/generation-config.ts";
export { parseConfig, type Config } from "./run/config.ts";
export { adamwOptions, dpoOptions, engineOptions, evaluateOptions, rlOptions, sftOptions } from "./train/options.ts";
export { arithmeticTask } from "./tasks/arithmetic.ts";
export { latestCheckpoint, loadCheckpoint, saveCheckpoint, type TrainerState } from "./train/checkpoint.ts";
