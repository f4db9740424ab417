import { steerAlpha, type AlphaGoal, type Measured } from "../core/alpha-control.ts";
import { groupNormalisedAdvantages, rlooAdvantages, whiten, type ScaleRewards } from "../core/advantage.ts";
import { tokenWeights, type LossAggregation } from "../core/aggregation.ts";
import { miniBatches } from "../core/batches.ts";
import { k1, rewardToGo } from "../core/kl.ts";
import { lengthRewards } from "../core/length-reward.ts";
import { shuffledIndices } from "../core/rng.ts";
import { learningRateFactor, type LrScheduler } from "../core/schedule.ts";
import type { EngineOptions } from "../engine/engine-size.ts";
import { ConfigError } from "../errors.ts";
import type { Tokenizer } from "../hf/tokenizer.ts";
import type { KlEstimator } from "../kernels/policy-gradient.ts";
import type { Model } from "../model/model.ts";
import type { Problem, Task } from "../tasks/task.ts";
import { sampleAndJudge, type Judged, type JudgedCompletion, type SampleHost } from "./evaluate.ts";
import { itemLogprobs } from "./logprobs.ts";
import { MicroBatches, type OnWarning } from "./micro-batches.ts";
import type { AdamW } from "./optimizer.ts";
import { policyGradient } from "./policy.ts";
import { mapRecorded } from "./recorded.ts";
import { Sampler } from "./sampler.ts";

export interface RlOptions {
  /** The weight of length in the reward, 0 to 1, or what to steer it by. Read in each iteration, so it may be replaced between two. */
  alpha: AlphaGoal;
  /** Prompts an iteration, and responses to each. */
  numPrompts: number;
  numGenerations: number;
  /** Optimizer steps an iteration. */
  numSteps: number;
  maxIterations: number;
  maxCompletionLength: number;
  temperature: number;
  topK: number;
  topP: number;
  /** KL coefficient: in the reward where klEstimator is "none" (the paper's code), otherwise in the loss. */
  beta: number;
  klEstimator: KlEstimator;
  epsilon: number;
  scaleRewards: ScaleRewards;
  lossAggregation: LossAggregation;
  learningRate: number;
  scheduler: LrScheduler;
  warmupSteps: number;
  tokensPerMicroBatch: number;
  recompute: boolean;
  seed: number;
  engine: EngineOptions;
}

/** What an iteration reports, under TRL's names where TRL has one. Rates are of responses unless they say otherwise. */
export interface RlMetrics {
  iteration: number;
  alpha: number;
  reward: number;
  reward_std: number;
  accuracy: number;
  "completions/mean_length": number;
  "completions/max_length": number;
  /** Mean length of the responses that ended by themselves. */
  "completions/mean_terminated_length": number;
  /** Share that was cut off. */
  "completions/clipped_ratio": number;
  /** Share of groups with no spread in reward: nothing to learn from. */
  frac_reward_zero_std: number;
  all_correct: number;
  all_zero: number;
  /** Mean over tokens of logprob - reference logprob. */
  kl: number;
  entropy: number;
  loss: number;
  /** Share of tokens where PPO's clip took the gradient away. */
  clip_ratio: number;
  grad_norm: number;
  learning_rate: number;
  /** Largest |sampler's - trainer's log-probability| at unchanged weights, over the first optimizer step's tokens. */
  "sampling/logp_difference_max": number;
  /** Prompt and response tokens. */
  num_tokens: number;
  /** Seconds. */
  rollout_time: number;
  step_time: number;
}

/** A response with its part in the update. */
export interface RlCompletion extends JudgedCompletion {
  iteration: number;
  reward: number;
  advantage: number;
}

export interface RlIteration {
  metrics: RlMetrics;
  completions: RlCompletion[];
}

/** What training needs besides its options; `reference` is null where beta is 0. */
export interface RlSetup {
  model: Model;
  reference: Model | null;
  optimizer: AdamW;
  tokenizer: Tokenizer;
  task: Task;
  stopTokenIds: readonly number[];
}

/** A sampled response on its way to the loss. Arrays are per response token. */
interface Rollout {
  tokenIds: number[];
  promptLength: number;
  oldLogprobs: number[];
  refLogprobs: number[];
  reward: number;
  advantage: number;
  tokenAdvantages: number[];
  completion: RlCompletion;
}

/**
 * Reinforcement learning with the length-aware reward (the paper, section 4): sample groups, judge, reward, take advantages
 * against the group, and step on the clipped policy gradient. Yields after each iteration. Everything drawn is a function
 * of (seed, iteration), so training resumes from the weights, the optimizer's state and the `history` of the
 * iterations done. An abort ends the rollouts, never an update: model and optimizer stay as after the last iteration that was yielded.
 * Where memory runs out, rollouts begin anew with fewer sequences at once and updates in smaller micro-batches, and `onWarning`
 * hears of it.
 */
export async function* trainRl(
  setup: RlSetup,
  options: RlOptions,
  {
    history = [],
    signal,
    onProgress,
    onWarning,
  }: {
    history?: readonly Measured[];
    signal?: AbortSignal;
    onProgress?: SampleHost["onProgress"];
    onWarning?: OnWarning;
  } = {},
): AsyncGenerator<RlIteration> {
  if (setup.task.train.length === 0)
    throw new ConfigError(`task ${setup.task.name}: expected problems to train on, got none`);
  const sampler = new Sampler(setup.model, options.engine, onWarning);
  const microBatches = new MicroBatches(options.tokensPerMicroBatch, onWarning);
  const measured = [...history];
  try {
    for (let iteration = history.length; iteration < options.maxIterations; iteration++) {
      const start = performance.now();
      const groups = await sampleAndJudge(
        sampler,
        setup.tokenizer,
        setup.task,
        problemsOf(setup.task.train, iteration, options),
        options.numGenerations,
        { ...options, maxTokens: options.maxCompletionLength },
        { stopTokenIds: setup.stopTokenIds, firstPromptId: iteration * options.numPrompts, signal, onProgress },
      );
      const rolloutTime = (performance.now() - start) / 1000;
      measured.push(measure(groups));
      const alpha = steerAlpha(options.alpha, measured);
      const rollouts = groups.flatMap((group) => rewardGroup(group, iteration, alpha, options));
      if (setup.reference) await addReferenceLogprobs(microBatches, setup.reference, rollouts, options);
      assignTokenAdvantages(rollouts, options);
      const update = await updatePolicy(microBatches, setup, rollouts, iteration, options);
      yield {
        metrics: {
          iteration: iteration + 1,
          alpha,
          ...rolloutMetrics(rollouts, options.numGenerations),
          ...update,
          rollout_time: rolloutTime,
          step_time: (performance.now() - start) / 1000,
        },
        completions: rollouts.map((rollout) => rollout.completion),
      };
    }
  } finally {
    sampler.dispose();
  }
}

/** The problems of an iteration: the training set in a new order each time it is through. */
function problemsOf(train: readonly Problem[], iteration: number, { numPrompts, seed }: RlOptions): Problem[] {
  const orders = new Map<number, number[]>();
  return Array.from({ length: numPrompts }, (_, i) => {
    const at = iteration * numPrompts + i;
    const epoch = Math.floor(at / train.length);
    if (!orders.has(epoch)) orders.set(epoch, shuffledIndices(train.length, seed, epoch));
    return train[orders.get(epoch)![at % train.length]!]!;
  });
}

function measure(groups: readonly Judged[]): Measured {
  const responses = groups.flatMap(({ outputs }) => outputs.map(({ judged }) => judged));
  return {
    meanLength: mean(responses.map(({ length }) => length)),
    accuracy: mean(responses.map(({ correct }) => Number(correct))),
  };
}

/** Rewards and advantages of one prompt's responses. */
function rewardGroup(
  { promptTokenIds, outputs }: Judged,
  iteration: number,
  alpha: number,
  { scaleRewards }: RlOptions,
): Rollout[] {
  const rewards = lengthRewards(
    outputs.map(({ judged, finishReason }) => ({ length: judged.length, finishReason, correct: judged.correct })),
    alpha,
  );
  const advantages = scaleRewards === "group" ? groupNormalisedAdvantages(rewards) : rlooAdvantages(rewards);
  return outputs.map(({ tokenIds, logprobs, judged }, i) => ({
    tokenIds: [...promptTokenIds, ...tokenIds],
    promptLength: promptTokenIds.length,
    oldLogprobs: logprobs,
    refLogprobs: logprobs,
    reward: rewards[i]!,
    advantage: advantages[i]!,
    tokenAdvantages: [],
    completion: { iteration: iteration + 1, ...judged, reward: rewards[i]!, advantage: advantages[i]! },
  }));
}

async function addReferenceLogprobs(
  microBatches: MicroBatches,
  reference: Model,
  rollouts: Rollout[],
  { temperature }: RlOptions,
): Promise<void> {
  const sequences = rollouts.map(({ tokenIds }) => [tokenIds]);
  const logprobs = await itemLogprobs(microBatches, reference, sequences, { temperature });
  rollouts.forEach((rollout, i) => (rollout.refLogprobs = Array.from(logprobs[i]![0]!.subarray(rollout.promptLength))));
}

/** Per-token advantages: the response's, less the KL penalty still to come; whitened over all tokens on demand. */
function assignTokenAdvantages(rollouts: Rollout[], { beta, klEstimator, scaleRewards }: RlOptions): void {
  const inReward = klEstimator === "none" ? beta : 0;
  const returns = rollouts.map(({ advantage, oldLogprobs, refLogprobs }) =>
    rewardToGo(advantage, k1(oldLogprobs, refLogprobs), inReward),
  );
  const scaled = scaleRewards === "batch" ? whiten(returns) : returns;
  rollouts.forEach((rollout, i) => (rollout.tokenAdvantages = scaled[i]!));
}

type UpdateMetrics = Pick<
  RlMetrics,
  "loss" | "clip_ratio" | "entropy" | "grad_norm" | "learning_rate" | "sampling/logp_difference_max"
>;

/** The iteration's optimizer steps. */
async function updatePolicy(
  microBatches: MicroBatches,
  { model, optimizer }: RlSetup,
  rollouts: Rollout[],
  iteration: number,
  options: RlOptions,
): Promise<UpdateMetrics> {
  const { numSteps, maxIterations, seed, lossAggregation, epsilon, klEstimator, temperature, recompute } = options;
  const lossOptions = { epsilon, klEstimator, temperature, recompute, beta: klEstimator === "none" ? 0 : options.beta };
  const total = { loss: 0, entropy: 0, clipped: 0, tokens: 0, gradNorm: 0, learningRate: 0 };
  let difference = 0;
  const steps = miniBatches(rollouts.length, numSteps, seed, iteration);
  for (const [step, indices] of steps.entries()) {
    const batch = indices.toSorted((a, b) => a - b).map((i) => rollouts[i]!);
    const weightOf = tokenWeights(
      batch.map(({ oldLogprobs }) => oldLogprobs.length),
      lossAggregation,
    );
    const factor = learningRateFactor(options.scheduler, optimizer.step, {
      warmupSteps: options.warmupSteps,
      totalSteps: maxIterations * numSteps,
    });
    total.learningRate = options.learningRate * factor;
    const sequences = batch.map(({ tokenIds }) => [tokenIds]);
    const { results, norm } = await microBatches.step(optimizer, sequences, total.learningRate, (packed, items) => {
      const perToken = () => new Float32Array(packed.tokenIds.length);
      const targets = { weights: perToken(), advantages: perToken(), oldLogprobs: perToken(), refLogprobs: perToken() };
      items.forEach((i, s) => {
        const { promptLength, oldLogprobs, refLogprobs, tokenAdvantages } = batch[i]!;
        const first = packed.cuSeqlens[s]! + promptLength;
        targets.weights.fill(weightOf[i]!, first, packed.cuSeqlens[s + 1]);
        targets.advantages.set(tokenAdvantages, first);
        targets.oldLogprobs.set(oldLogprobs, first);
        targets.refLogprobs.set(refLogprobs, first);
      });
      const recorded = policyGradient(model, optimizer.gradients, packed, targets, lossOptions);
      return mapRecorded(recorded, (result) => ({ ...result, targets }));
    });
    total.gradNorm += norm / steps.length;
    for (const { targets, logprobs, entropy, ratio, loss } of results) {
      targets.weights.forEach((weight, t) => {
        if (weight === 0) return;
        if (step === 0) difference = Math.max(difference, Math.abs(logprobs[t]! - targets.oldLogprobs[t]!));
        const advantage = targets.advantages[t]!;
        if ((ratio[t]! > 1 + epsilon && advantage > 0) || (ratio[t]! < 1 - epsilon && advantage < 0)) total.clipped++;
        total.loss += loss[t]! / steps.length;
        total.entropy += entropy[t]!;
        total.tokens++;
      });
    }
  }
  return {
    loss: total.loss,
    clip_ratio: total.clipped / total.tokens,
    entropy: total.entropy / total.tokens,
    grad_norm: total.gradNorm,
    learning_rate: total.learningRate,
    "sampling/logp_difference_max": difference,
  };
}

const mean = (values: readonly number[]) =>
  values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;

function rolloutMetrics(rollouts: readonly Rollout[], groupSize: number) {
  const rewards = rollouts.map((rollout) => rollout.reward);
  const lengths = rollouts.map((rollout) => rollout.oldLogprobs.length);
  const terminated = rollouts.filter(({ completion }) => completion.finish_reason === "stop");
  const groups = Array.from({ length: rollouts.length / groupSize }, (_, g) =>
    rollouts.slice(g * groupSize, (g + 1) * groupSize),
  );
  const share = (holds: (group: readonly Rollout[]) => boolean) => mean(groups.map((group) => Number(holds(group))));
  const reward = mean(rewards);
  return {
    reward,
    reward_std: Math.sqrt(mean(rewards.map((r) => (r - reward) ** 2))),
    accuracy: mean(rollouts.map(({ completion }) => Number(completion.correct))),
    "completions/mean_length": mean(lengths),
    "completions/max_length": Math.max(...lengths),
    "completions/mean_terminated_length": mean(terminated.map(({ completion }) => completion.length)),
    "completions/clipped_ratio": 1 - terminated.length / rollouts.length,
    frac_reward_zero_std: share((group) => group.every(({ reward: r }) => r === group[0]!.reward)),
    all_correct: share((group) => group.every(({ completion }) => completion.correct)),
    all_zero: share((group) => group.every(({ completion }) => !completion.correct)),
    kl: mean(rollouts.flatMap(({ oldLogprobs, refLogprobs }) => k1(oldLogprobs, refLogprobs))),
    num_tokens: rollouts.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0),
  };
}
