import { steerAlpha, type AlphaGoal, type Measured } from "../core/alpha-control.ts";
import { groupNormalisedAdvantages, rlooAdvantages, whiten, type ScaleRewards } from "../core/advantage.ts";
import { tokenWeights, type LossAggregation } from "../core/aggregation.ts";
import { miniBatches } from "../core/batches.ts";
import { k1, rewardToGo } from "../core/kl.ts";
import { lengthRewards } from "../core/length-rewards/sigmoid.ts";
import { shuffledIndices } from "../core/rng.ts";
import { learningRateFactor, type LrScheduler } from "../core/schedule.ts";
import type { EngineOptions } from "../engine/engine-size.ts";
import { ConfigError } from "../errors.ts";
import type { Tokenizer } from "../hf/tokenizer.ts";
import type { KlEstimator } from "../kernels/policy-gradient.ts";
import { layResponses } from "../model/batch.ts";
import type { Model } from "../model/model.ts";
import type { Problem, Task } from "../tasks/task.ts";
import { Budgets } from "./budget.ts";
import { itemLogprobs } from "./logprobs.ts";
import { MicroBatches, type OnItems, type OnWarning } from "./micro-batches.ts";
import type { AdamW } from "./optimizer.ts";
import { policyGradient } from "./policy.ts";
import { mapRecorded } from "./recorded.ts";
import { sampleRollouts, type Rollout, type RolloutHost } from "./rollouts.ts";
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

export interface RlIteration {
  metrics: RlMetrics;
  rollouts: Rollout[];
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

/** What the loss needs of a rollout besides its tokens: values per response token. */
interface Targets {
  refLogprobs: (readonly number[])[];
  advantages: number[][];
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
    done = history.length,
    signal,
    onProgress,
    onUpdateProgress,
    onWarning,
    budgets = new Budgets(),
  }: {
    history?: readonly Measured[];
    /** Iterations done: more than `history` tells where its log was lost. */
    done?: number;
    signal?: AbortSignal;
    onProgress?: RolloutHost["onProgress"];
    /** Of each pass over the responses: the reference's, and an optimizer step's. */
    onUpdateProgress?: OnItems;
    onWarning?: OnWarning;
    /** Of the run that this goes on from. */
    budgets?: Budgets;
  } = {},
): AsyncGenerator<RlIteration> {
  if (setup.task.train.length === 0)
    throw new ConfigError(`task ${setup.task.name}: expected problems to train on, got none`);
  if (options.numGenerations < 2)
    throw new ConfigError(
      `rl.num_generations: expected at least 2, for a response is compared with the others to its prompt, got ${options.numGenerations}`,
    );
  const sampler = new Sampler(setup.model, options.engine, { budget: budgets.rollouts, onWarning });
  const microBatches = new MicroBatches(options.tokensPerMicroBatch, {
    budget: budgets.microBatch,
    onWarning,
    onProgress: onUpdateProgress,
  });
  const measured = [...history];
  try {
    for (let iteration = done; iteration < options.maxIterations; iteration++) {
      const start = performance.now();
      const groups = await sampleRollouts(
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
      const rollouts = groups.flatMap((group) => rewardGroup(group, alpha, options));
      const refLogprobs = await referenceLogprobs(microBatches, setup.reference, rollouts, options);
      const targets = { refLogprobs, advantages: tokenAdvantages(rollouts, refLogprobs, options) };
      const update = await updatePolicy(microBatches, setup, rollouts, targets, iteration, options);
      yield {
        metrics: {
          iteration: iteration + 1,
          alpha,
          ...rolloutMetrics(rollouts, refLogprobs, options.numGenerations),
          ...update,
          rollout_time: rolloutTime,
          step_time: (performance.now() - start) / 1000,
        },
        rollouts,
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

function measure(groups: readonly Rollout[][]): Measured {
  const rollouts = groups.flat();
  return {
    meanLength: mean(rollouts.map(({ length }) => length)),
    accuracy: mean(rollouts.map(({ correct }) => Number(correct))),
  };
}

/** Rewards and advantages of one prompt's responses. */
function rewardGroup(group: readonly Rollout[], alpha: number, { scaleRewards }: RlOptions): Rollout[] {
  const rewards = lengthRewards(group, alpha);
  const advantages = scaleRewards === "group" ? groupNormalisedAdvantages(rewards) : rlooAdvantages(rewards);
  return group.map((rollout, i) => ({ ...rollout, reward: rewards[i]!, advantage: advantages[i]! }));
}

/** Prompt and response. */
const sequenceOf = ({ promptTokenIds, tokenIds }: Rollout): number[] => [...promptTokenIds, ...tokenIds];

/** The reference's log-probabilities of the responses' tokens; the sampler's own where there is no reference. */
async function referenceLogprobs(
  microBatches: MicroBatches,
  reference: Model | null,
  rollouts: readonly Rollout[],
  { temperature }: RlOptions,
): Promise<(readonly number[])[]> {
  if (!reference) return rollouts.map(({ logprobs }) => logprobs);
  const sequences = rollouts.map((rollout) => [sequenceOf(rollout)]);
  const logprobs = await itemLogprobs(microBatches, reference, sequences, { temperature });
  return rollouts.map(({ promptTokenIds }, i) => Array.from(logprobs[i]![0]!.subarray(promptTokenIds.length)));
}

/** Per-token advantages: the response's, less the KL penalty still to come; whitened over all tokens on demand. */
function tokenAdvantages(
  rollouts: readonly Rollout[],
  refLogprobs: readonly (readonly number[])[],
  { beta, klEstimator, scaleRewards }: RlOptions,
): number[][] {
  const inReward = klEstimator === "none" ? beta : 0;
  const returns = rollouts.map(({ advantage, logprobs }, i) =>
    rewardToGo(advantage, k1(logprobs, refLogprobs[i]!), inReward),
  );
  return scaleRewards === "batch" ? whiten(returns) : returns;
}

type UpdateMetrics = Pick<
  RlMetrics,
  "loss" | "clip_ratio" | "entropy" | "grad_norm" | "learning_rate" | "sampling/logp_difference_max"
>;

/** The iteration's optimizer steps. */
async function updatePolicy(
  microBatches: MicroBatches,
  { model, optimizer }: RlSetup,
  rollouts: readonly Rollout[],
  targets: Targets,
  iteration: number,
  options: RlOptions,
): Promise<UpdateMetrics> {
  const { numSteps, maxIterations, seed, lossAggregation, epsilon, klEstimator, temperature, recompute } = options;
  const lossOptions = { epsilon, klEstimator, temperature, recompute, beta: klEstimator === "none" ? 0 : options.beta };
  const total = { loss: 0, entropy: 0, clipped: 0, tokens: 0, gradNorm: 0, learningRate: 0 };
  let difference = 0;
  const steps = miniBatches(rollouts.length, numSteps, seed, iteration);
  for (const [step, indices] of steps.entries()) {
    const batch = indices.toSorted((a, b) => a - b);
    const lengths = batch.map((i) => rollouts[i]!.length);
    const weightOf = tokenWeights(lengths, lossAggregation);
    const factor = learningRateFactor(options.scheduler, optimizer.step, {
      warmupSteps: options.warmupSteps,
      totalSteps: maxIterations * numSteps,
    });
    total.learningRate = options.learningRate * factor;
    const sequences = batch.map((i) => [sequenceOf(rollouts[i]!)]);
    const { results, norm } = await microBatches.step(
      optimizer,
      sequences,
      total.learningRate,
      (packed, items, gpu) => {
        const responses = (values: (i: number) => ArrayLike<number>) => layResponses(packed, items.map(values));
        const laid = {
          weights: responses((i) => new Float32Array(lengths[i]!).fill(weightOf[i]!)),
          advantages: responses((i) => targets.advantages[batch[i]!]!),
          oldLogprobs: responses((i) => rollouts[batch[i]!]!.logprobs),
          refLogprobs: responses((i) => targets.refLogprobs[batch[i]!]!),
        };
        const recorded = policyGradient(model, optimizer.gradients, packed, laid, lossOptions, gpu);
        return mapRecorded(recorded, (result) => ({ ...result, laid }));
      },
    );
    total.gradNorm += norm / steps.length;
    for (const { laid, logprobs, entropy, ratio, loss } of results) {
      laid.weights.forEach((weight, t) => {
        if (weight === 0) return;
        if (step === 0) difference = Math.max(difference, Math.abs(logprobs[t]! - laid.oldLogprobs[t]!));
        const advantage = laid.advantages[t]!;
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

function rolloutMetrics(rollouts: readonly Rollout[], refLogprobs: readonly (readonly number[])[], groupSize: number) {
  const rewards = rollouts.map((rollout) => rollout.reward);
  const lengths = rollouts.map((rollout) => rollout.length);
  const terminated = rollouts.filter(({ finishReason }) => finishReason === "stop");
  const groups = Array.from({ length: rollouts.length / groupSize }, (_, g) =>
    rollouts.slice(g * groupSize, (g + 1) * groupSize),
  );
  const share = (holds: (group: readonly Rollout[]) => boolean) => mean(groups.map((group) => Number(holds(group))));
  const reward = mean(rewards);
  return {
    reward,
    reward_std: Math.sqrt(mean(rewards.map((r) => (r - reward) ** 2))),
    accuracy: mean(rollouts.map(({ correct }) => Number(correct))),
    "completions/mean_length": mean(lengths),
    "completions/max_length": Math.max(...lengths),
    "completions/mean_terminated_length": mean(terminated.map(({ length }) => length)),
    "completions/clipped_ratio": 1 - terminated.length / rollouts.length,
    frac_reward_zero_std: share((group) => group.every(({ reward: r }) => r === group[0]!.reward)),
    all_correct: share((group) => group.every(({ correct }) => correct)),
    all_zero: share((group) => group.every(({ correct }) => !correct)),
    kl: mean(rollouts.flatMap(({ logprobs }, i) => k1(logprobs, refLogprobs[i]!))),
    num_tokens: rollouts.reduce((sum, { promptTokenIds, length }) => sum + promptTokenIds.length + length, 0),
  };
}
