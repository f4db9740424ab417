import { tokenWeights } from "../core/aggregation.ts";
import { shuffledIndices } from "../core/rng.ts";
import { learningRateFactor, type LrScheduler } from "../core/schedule.ts";
import type { Tokenizer } from "../hf/tokenizer.ts";
import { layResponses } from "../model/batch.ts";
import type { Model } from "../model/model.ts";
import { renderPrompt } from "../tasks/prompt.ts";
import type { Task } from "../tasks/task.ts";
import { ConfigError } from "../errors.ts";
import { MicroBatches, type PassHost } from "./micro-batches.ts";
import type { AdamW } from "./optimizer.ts";
import { supervisedGradient } from "./policy.ts";
import { mapRecorded } from "./recorded.ts";

/** One step of supervised fine-tuning, under TRL's names. */
export interface SftMetrics {
  step: number;
  /** Mean cross-entropy of the completions' tokens, in nats. */
  loss: number;
  /** Share of the completions' tokens with a probability above one half: the first choice whatever the others' are. */
  mean_token_accuracy: number;
  grad_norm: number;
  learning_rate: number;
  /** Prompt and completion tokens. */
  num_tokens: number;
  /** Seconds. */
  step_time: number;
}

export interface SftOptions {
  maxSteps: number;
  /** Tokens of a step's batch, prompts included: as many examples as fit. */
  tokensPerBatch: number;
  tokensPerMicroBatch: number;
  learningRate: number;
  scheduler: LrScheduler;
  warmupSteps: number;
  recompute: boolean;
}

/** A completion to learn after its prompt, the stop token with it. */
export interface Example {
  promptTokenIds: readonly number[];
  completionTokenIds: readonly number[];
}

/** The task's demonstrations without end: in a new order on each pass, and newly drawn. */
export function* demonstrations(
  task: Task,
  tokenizer: Tokenizer,
  stopTokenId: number,
  seed: number,
): Generator<Example, never> {
  const { demonstration } = task;
  if (!demonstration)
    throw new ConfigError(
      `task ${task.name}: expected a task that writes demonstrations, such as arithmetic, got one that does not`,
    );
  if (task.train.length === 0) throw new ConfigError(`task ${task.name}: expected problems to train on, got none`);
  for (let epoch = 0; ; epoch++) {
    for (const index of shuffledIndices(task.train.length, seed, epoch)) {
      const problem = task.train[index]!;
      const text = demonstration(problem, seed + epoch * task.train.length + index);
      yield {
        promptTokenIds: renderPrompt(task, problem, tokenizer).promptTokenIds,
        completionTokenIds: [...tokenizer.encode(text, { addSpecialTokens: false }), stopTokenId],
      };
    }
  }
}

/** `items` without end, in a new order on each pass. */
export function* passes<T>(items: readonly T[], seed: number): Generator<T, never> {
  for (let epoch = 0; ; epoch++) for (const index of shuffledIndices(items.length, seed, epoch)) yield items[index]!;
}

/**
 * Trains on the mean cross-entropy over the completions' tokens. Yields after every step. `examples` begin with the run's
 * first, whatever step the optimizer stands at: those of the steps done are passed over.
 */
export async function* trainSft(
  model: Model,
  optimizer: AdamW,
  examples: Generator<Example, never>,
  options: SftOptions,
  host: PassHost = {},
): AsyncGenerator<SftMetrics> {
  const { maxSteps, tokensPerBatch, tokensPerMicroBatch, learningRate, scheduler, warmupSteps, recompute } = options;
  const microBatches = new MicroBatches(tokensPerMicroBatch, host);
  let next = examples.next().value;
  const nextBatch = (): Example[] => {
    const batch: Example[] = [];
    for (let tokens = 0; batch.length === 0 || tokens + tokensOf(next) <= tokensPerBatch;) {
      batch.push(next);
      tokens += tokensOf(next);
      next = examples.next().value;
    }
    return batch;
  };
  for (let step = 0; step < optimizer.step; step++) nextBatch(); // done before this run was interrupted
  while (optimizer.step < maxSteps) {
    const start = performance.now();
    const batch = nextBatch();
    const completionLengths = batch.map(({ completionTokenIds }) => completionTokenIds.length);
    const weightOf = tokenWeights(completionLengths, "dapo", Infinity);
    const sequences = batch.map((example) => [[...example.promptTokenIds, ...example.completionTokenIds]]);
    const rate = learningRate * learningRateFactor(scheduler, optimizer.step, { warmupSteps, totalSteps: maxSteps });
    const { results, norm } = await microBatches.step(optimizer, sequences, rate, async (packed, items, gpu) => {
      const weights = layResponses(
        packed,
        items.map((i) => new Float32Array(completionLengths[i]!).fill(weightOf[i]!)),
      );
      const recorded = await supervisedGradient(model, optimizer.gradients, packed, weights, { recompute }, gpu);
      return mapRecorded(recorded, (result) => ({ ...result, weights }));
    });
    let loss = 0;
    let likely = 0;
    for (const result of results) {
      result.weights.forEach((weight, t) => {
        if (weight === 0) return;
        loss += result.loss[t]!;
        if (result.logprobs[t]! > -Math.LN2) likely++;
      });
    }
    yield {
      step: optimizer.step,
      loss,
      mean_token_accuracy: likely / completionLengths.reduce((a, b) => a + b, 0),
      grad_norm: norm,
      learning_rate: rate,
      num_tokens: batch.map(tokensOf).reduce((a, b) => a + b, 0),
      step_time: (performance.now() - start) / 1000,
    };
  }
}

const tokensOf = ({ promptTokenIds, completionTokenIds }: Example): number =>
  promptTokenIds.length + completionTokenIds.length;
