import type { AlphaGoal } from "../core/alpha-control.ts";
import type { EngineOptions } from "../engine/engine-size.ts";
import type { LoraConfig } from "../hf/peft.ts";
import type { Config } from "../run/config.ts";
import type { DpoOptions } from "./dpo.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import type { Planned } from "./memory-plan.ts";
import type { AdamWOptions } from "./optimizer.ts";
import type { RlOptions } from "./rl-options.ts";
import type { SftOptions } from "./sft.ts";

/** From the configuration's snake_case sections to the options of engine and trainers. */

export const engineOptions = ({ engine }: Config): EngineOptions => ({
  blockSize: engine.block_size,
  maxNumSeqs: engine.max_num_seqs,
  ...(engine.kv_cache_bytes === undefined ? {} : { kvCacheBytes: engine.kv_cache_bytes }),
  ...(engine.max_model_len === undefined ? {} : { maxModelLen: engine.max_model_len }),
});

/** Null where all weights are trained. */
export const loraConfig = ({ lora, model }: Config): LoraConfig | null =>
  lora.r === 0
    ? null
    : {
        r: lora.r,
        alpha: lora.alpha,
        useRslora: lora.use_rslora,
        targetModules: lora.target_modules,
        baseModel: model.path,
      };

/** What a run is planned by besides its options. */
export const plannedOptions = (config: Config): Omit<Planned, "like"> => ({
  lora: loraConfig(config),
  offloadReference: config.model.offload_reference,
  layers: config.device.layers,
});

export const adamwOptions = ({ optim, train }: Config): AdamWOptions => ({
  beta1: optim.adam_beta1,
  beta2: optim.adam_beta2,
  eps: optim.adam_epsilon,
  weightDecay: optim.weight_decay,
  maxGradNorm: optim.max_grad_norm,
  offload: optim.offload,
  ...(optim.state_dtype === "bfloat16" ? { stochasticRounding: { seed: train.seed } } : {}),
});

const alphaGoal = ({ rl }: Config): AlphaGoal => {
  if (rl.target_length !== undefined) return { targetLength: rl.target_length };
  if (rl.max_accuracy_drop !== undefined) return { maxAccuracyDrop: rl.max_accuracy_drop };
  return { alpha: rl.alpha };
};

export const rlOptions = (config: Config): RlOptions => ({
  alpha: alphaGoal(config),
  numPrompts: config.rl.num_prompts,
  numGenerations: config.rl.num_generations,
  numSteps: config.rl.num_steps,
  numIterations: config.rl.num_iterations,
  dynamicSampling: config.rl.dynamic_sampling,
  screenGenerations: config.rl.screen_generations,
  maxIterations: config.rl.max_iterations,
  maxSampledTokens: config.rl.max_sampled_tokens,
  lag: config.rl.lag,
  maxCompletionLength: config.rl.max_completion_length,
  lengthReward: config.rl.length_reward,
  lengthRewardOptions: config.rl.length_reward_options,
  temperature: config.rl.temperature,
  topK: config.rl.top_k,
  topP: config.rl.top_p,
  minP: config.rl.min_p,
  stop: config.rl.stop,
  beta: config.rl.beta,
  klEstimator: config.rl.kl_estimator,
  epsilon: config.rl.epsilon,
  epsilonHigh: config.rl.epsilon_high,
  delta: config.rl.delta,
  importanceSamplingLevel: config.rl.importance_sampling_level,
  maskTruncatedCompletions: config.rl.mask_truncated_completions,
  advantage: config.rl.advantage,
  scaleRewards: config.rl.scale_rewards,
  lossType: config.rl.loss_type,
  learningRate: config.optim.learning_rate,
  scheduler: config.optim.lr_scheduler_type,
  warmupSteps: config.optim.warmup_steps,
  tokensPerMicroBatch: config.train.tokens_per_micro_batch,
  recompute: config.model.recompute,
  seed: config.train.seed,
  engine: engineOptions(config),
});

export const sftOptions = (config: Config): SftOptions => ({
  maxSteps: config.sft.max_steps,
  tokensPerBatch: config.sft.tokens_per_batch,
  tokensPerMicroBatch: config.train.tokens_per_micro_batch,
  learningRate: config.optim.learning_rate,
  scheduler: config.optim.lr_scheduler_type,
  warmupSteps: config.optim.warmup_steps,
  recompute: config.model.recompute,
});

export const dpoOptions = (config: Config): DpoOptions => ({
  lossType: config.dpo.loss_type,
  beta: config.dpo.beta,
  simpoGamma: config.dpo.simpo_gamma,
  maxSteps: config.dpo.max_steps,
  pairsPerBatch: config.dpo.pairs_per_batch,
  tokensPerMicroBatch: config.train.tokens_per_micro_batch,
  learningRate: config.optim.learning_rate,
  scheduler: config.optim.lr_scheduler_type,
  warmupSteps: config.optim.warmup_steps,
  seed: config.train.seed,
  recompute: config.model.recompute,
});

export const evaluateOptions = ({ eval: e }: Config): EvaluateOptions => ({
  numSamples: e.num_samples,
  temperature: e.temperature,
  topK: e.top_k,
  topP: e.top_p,
  minP: e.min_p,
  stop: e.stop,
  maxCompletionLength: e.max_completion_length,
  seed: e.seed,
});
