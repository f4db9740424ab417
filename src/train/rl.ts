import { steerAlpha, type Measured } from "../core/alpha-control.ts";
import { whiten } from "../core/advantage.ts";
import { tokenWeights } from "../core/aggregation.ts";
import { miniBatches } from "../core/batches.ts";
import { k1, rewardToGo } from "../core/kl.ts";
import { isClipped } from "../core/ratio.ts";
import { learningRateFactor, stageAt } from "../core/schedule.ts";
import { ConfigError } from "../errors.ts";
import type { Tokenizer } from "../hf/tokenizer.ts";
import { layResponses } from "../model/batch.ts";
import type { Model } from "../model/model.ts";
import type { Task } from "../tasks/task.ts";
import { Budgets } from "./budget.ts";
import type { DrawnOutput } from "./drawn.ts";
import { firstResponses, replaceFlat, type Discarded } from "./dynamic-sampling.ts";
import { itemLogprobs } from "./logprobs.ts";
import { MicroBatches, type OnItems, type OnWarning } from "./micro-batches.ts";
import type { AdamW } from "./optimizer.ts";
import { policyGradient } from "./policy.ts";
import { Prompts } from "./prompts.ts";
import {
  compareGroups,
  CORRECT,
  scoreGroups,
  updateRecords,
  type NamedReward,
  type Records,
  type RewardMetrics,
} from "./rewards.ts";
import { mapRecorded } from "./recorded.ts";
import { measure, rolloutMetrics } from "./rollout-metrics.ts";
import { drawnBy, localSource, type Drawing, type RolloutSource } from "./rollout-source.ts";
import { decodeWith, judgeGroups, type Asked, type Rollout, type RolloutHost } from "./rollouts.ts";
import { Sampler } from "./sampler.ts";
import type { RlOptions } from "./rl-options.ts";
import { hasEnded, responseTokens } from "./sampling-cost.ts";

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
  /**
   * Largest |sampler's - trainer's log-probability| over the first optimizer step's tokens: of the same weights with lag 0, so that
   * it says whether the two agree; otherwise also what the updates between moved.
   */
  "sampling/logp_difference_max": number;
  /** Prompt and response tokens. */
  num_tokens: number;
  /** Response tokens sampled so far, over all iterations, with what dynamic sampling threw away and what a first pass took. */
  num_sampled_tokens: number;
  /** Seconds: waiting for responses, and in all. */
  rollout_time: number;
  step_time: number;
}

export interface RlIteration {
  /** With the mean and the standard deviation of each named reward by itself, and what dynamic sampling threw away. */
  metrics: RlMetrics & RewardMetrics & Partial<Discarded>;
  rollouts: Rollout[];
  /** Whether training ends with it. */
  isLast: boolean;
  /** What the next iteration trains on, where the weights before this one's update draw it: to be kept with a checkpoint. */
  ahead: Promise<DrawnOutput[]> | null;
}

/** What training needs besides its options. */
export interface RlSetup {
  model: Model;
  /** Null where beta is 0, or where `openReference` makes it anew for each of its passes, between which it takes no memory. */
  reference: Model | null;
  openReference?: () => Promise<Model>;
  optimizer: AdamW;
  tokenizer: Tokenizer;
  task: Task;
  stopTokenIds: readonly number[];
  /** What is rewarded: the weighted sum. The task's verdict alone by default. */
  rewards?: readonly NamedReward[];
}

/** Keeps the orders of an iteration's further passes apart from every iteration's first. */
const PASS = 2 ** 24;

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
    sampled = 0,
    records = {},
    ahead: drawnAhead = null,
    source,
    signal,
    onProgress,
    onTokens,
    onUpdateProgress,
    onWarning,
    budgets = new Budgets(),
  }: {
    history?: readonly Measured[];
    /** Iterations done: more than `history` tells where its log was lost. */
    done?: number;
    /** Response tokens sampled before. */
    sampled?: number;
    /** Of the run that this goes on from: each iteration is taken in before it is yielded. */
    records?: Records;
    /** What the run that this goes on from had drawn for its next iteration. */
    ahead?: readonly DrawnOutput[] | null;
    /** Who draws: this device unless another is given. */
    source?: RolloutSource;
    signal?: AbortSignal;
    onProgress?: RolloutHost["onProgress"];
    onTokens?: RolloutHost["onTokens"];
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
  const { numGenerations: n, temperature, topK, topP, minP, stop, seed } = options;
  const { stopTokenIds } = setup;
  const prompts = new Prompts(setup, options);
  const first = (iteration: number) => firstResponses(prompts.first(iteration), options);
  const from = source ?? localSource(sampler, decodeWith(setup.tokenizer));
  const draw = (asked: readonly Asked[], iteration: number): Promise<Drawing> => {
    const maxTokens = stageAt(options.maxCompletionLength, iteration);
    const params = { n, temperature, topK, topP, minP, maxTokens, seed, stopTokenIds, stop };
    const scored = setup.reference !== null || setup.openReference !== undefined;
    return from.begin(asked, params, { signal, onProgress, onTokens, steps: setup.optimizer.step, scored });
  };
  const judge = (asked: readonly Asked[], drawn: readonly DrawnOutput[]) =>
    judgeGroups(setup.tokenizer, setup.task, asked, drawn, { stopTokenIds, stop });
  const measured = [...history];
  let ahead: Drawing | null = drawnAhead && { outputs: Promise.resolve([...drawnAhead]) };
  let total = sampled;
  for (let iteration = done; !hasEnded(options, iteration, total); iteration++) {
    const start = performance.now();
    const maxLength = stageAt(options.maxCompletionLength, iteration);
    const asked = first(iteration);
    const drawn = await drawnBy(ahead ?? (await draw(asked, iteration)), signal);
    total += responseTokens(drawn);
    // With a lag nothing is drawn in addition: what the iteration samples is known.
    const goesOn = !hasEnded(options, iteration + 1, total);
    ahead = options.lag > 0 && goesOn ? await draw(first(iteration + 1), iteration + 1) : null;
    const judged = judge(asked, drawn);
    measured.push(measure(judged));
    const alpha = steerAlpha(options.alpha, measured);
    const context = { alpha, maxLength, records, rewards: setup.rewards ?? [CORRECT] };
    const { groups, discarded } = await replaceFlat(judged, options, {
      instead: (round, count) => prompts.instead(iteration, round, count),
      draw: async (more) => {
        const outputs = await drawnBy(await draw(more, iteration), signal);
        total += responseTokens(outputs);
        return judge(more, outputs);
      },
      score: (some) => scoreGroups(some, options, context),
    });
    const rolloutTime = (performance.now() - start) / 1000;
    const { rollouts, metrics: rewardMetrics } = compareGroups(groups, options);
    const refLogprobs = await referenceLogprobs(microBatches, setup, rollouts, options);
    const targets = { refLogprobs, advantages: tokenAdvantages(rollouts, refLogprobs, options) };
    const update = await updatePolicy(microBatches, setup, rollouts, targets, iteration, options);
    if (options.lengthReward === "hapo")
      updateRecords(
        records,
        groups.map((group) => group.rollouts),
      );
    yield {
      metrics: {
        iteration: iteration + 1,
        alpha,
        ...rolloutMetrics(rollouts, refLogprobs, options.numGenerations),
        ...rewardMetrics,
        ...(options.dynamicSampling > 0 ? discarded : {}),
        ...update,
        num_sampled_tokens: total,
        rollout_time: rolloutTime,
        step_time: (performance.now() - start) / 1000,
      },
      rollouts,
      isLast: hasEnded(options, iteration + 1, total),
      ahead: ahead && ahead.outputs,
    };
  }
}

/** Prompt and response. */
const sequenceOf = ({ promptTokenIds, tokenIds }: Rollout): number[] => [...promptTokenIds, ...tokenIds];

/** The reference's log-probabilities of the responses' tokens, as they came with them; the sampler's own where there is no reference. */
async function referenceLogprobs(
  microBatches: MicroBatches,
  { model, reference: held, openReference }: RlSetup,
  rollouts: readonly Rollout[],
  { temperature }: RlOptions,
): Promise<(readonly number[])[]> {
  const drawn = rollouts.flatMap(({ refLogprobs }) => (refLogprobs ? [refLogprobs] : []));
  if (drawn.length === rollouts.length) return drawn;
  if (openReference) await model.gpu.trim(); // what was sampled with makes room for it
  const reference = held ?? (await openReference?.());
  if (!reference) return rollouts.map(({ logprobs }) => logprobs);
  try {
    const sequences = rollouts.map((rollout) => [sequenceOf(rollout)]);
    const logprobs = await itemLogprobs(microBatches, reference, sequences, { temperature });
    return rollouts.map(({ promptTokenIds }, i) => Array.from(logprobs[i]![0]!.subarray(promptTokenIds.length)));
  } finally {
    if (reference !== held) reference.dispose();
  }
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
  const { numSteps, numIterations, maxIterations, seed, lossType, klEstimator } = options;
  const lossOptions = { ...options, beta: klEstimator === "none" ? 0 : options.beta, cispo: lossType === "cispo" };
  const maxLength = stageAt(options.maxCompletionLength, iteration);
  const total = { loss: 0, entropy: 0, clipped: 0, tokens: 0, gradNorm: 0, learningRate: 0 };
  let difference = 0;
  const steps = Array.from({ length: numIterations }, (_, pass) =>
    miniBatches(rollouts.length, numSteps, seed, iteration + pass * PASS),
  ).flat();
  for (const [step, indices] of steps.entries()) {
    const batch = indices.toSorted((a, b) => a - b);
    const lengths = batch.map((i) => rollouts[i]!.length);
    const trained = batch.map((i) => !options.maskTruncatedCompletions || rollouts[i]!.finishReason === "stop");
    const weightOf = tokenWeights(lengths, lossType, maxLength, trained);
    const factor = learningRateFactor(options.scheduler, optimizer.step, {
      warmupSteps: options.warmupSteps,
      totalSteps: maxIterations * numSteps * numIterations,
    });
    total.learningRate = options.learningRate * factor;
    const sequences = batch.map((i) => [sequenceOf(rollouts[i]!)]);
    const { results, norm } = await microBatches.step(
      optimizer,
      sequences,
      total.learningRate,
      async (packed, items, gpu) => {
        const responses = (values: (i: number) => ArrayLike<number>) => layResponses(packed, items.map(values));
        const laid = {
          weights: responses((i) => new Float32Array(lengths[i]!).fill(weightOf[i]!)),
          advantages: responses((i) => targets.advantages[batch[i]!]!),
          oldLogprobs: responses((i) => rollouts[batch[i]!]!.logprobs),
          refLogprobs: responses((i) => targets.refLogprobs[batch[i]!]!),
        };
        const recorded = await policyGradient(model, optimizer.gradients, packed, laid, lossOptions, gpu);
        return mapRecorded(recorded, (result) => ({ ...result, laid }));
      },
    );
    total.gradNorm += norm / steps.length;
    for (const { laid, logprobs, entropy, ratio, loss } of results) {
      laid.weights.forEach((weight, t) => {
        if (weight === 0) return;
        if (step === 0) difference = Math.max(difference, Math.abs(logprobs[t]! - laid.oldLogprobs[t]!));
        const advantage = laid.advantages[t]!;
        if (isClipped(ratio[t]!, advantage, options)) total.clipped++;
        total.loss += loss[t]! / steps.length;
        total.entropy += entropy[t]!;
        total.tokens++;
      });
    }
  }
  return {
    loss: total.loss,
    clip_ratio: total.clipped / Math.max(1, total.tokens),
    entropy: total.entropy / Math.max(1, total.tokens),
    grad_norm: total.gradNorm,
    learning_rate: total.learningRate,
    "sampling/logp_difference_max": difference,
  };
}
