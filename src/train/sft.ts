import { microBatches } from "../core/batches.ts";
import { tokenWeights } from "../core/aggregation.ts";
import { shuffledIndices } from "../core/rng.ts";
import { learningRateFactor, type LrScheduler } from "../core/schedule.ts";
import type { Tokenizer } from "../hf/tokenizer.ts";
import { packSequences } from "../model/batch.ts";
import type { Model } from "../model/model.ts";
import type { Task } from "../tasks/task.ts";
import { ConfigError } from "../errors.ts";
import type { AdamW } from "./optimizer.ts";
import { supervisedGradient } from "./policy.ts";

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
  seed: number;
  recompute: boolean;
}

/** Prompt and completion of one example. */
interface Example {
  tokenIds: number[];
  promptLength: number;
}

/** The examples of a task's demonstrations in the order in which they are seen; a second pass draws new demonstrations. */
function* examples(task: Task, tokenizer: Tokenizer, stopTokenId: number, seed: number): Generator<Example> {
  const { demonstration } = task;
  if (!demonstration)
    throw new ConfigError(
      `task ${task.name}: expected a task that writes demonstrations, such as arithmetic, got one that does not`,
    );
  if (task.train.length === 0) throw new ConfigError(`task ${task.name}: expected problems to train on, got none`);
  for (let epoch = 0; ; epoch++) {
    for (const index of shuffledIndices(task.train.length, seed, epoch)) {
      const problem = task.train[index]!;
      const prompt = tokenizer.encode(task.render(problem, tokenizer), { addSpecialTokens: false });
      const completion = tokenizer.encode(demonstration(problem, seed + epoch * task.train.length + index), {
        addSpecialTokens: false,
      });
      yield { tokenIds: [...prompt, ...completion, stopTokenId], promptLength: prompt.length };
    }
  }
}

/**
 * Trains on the task's demonstrations: the mean cross-entropy over the completions' tokens. Yields after every step; which
 * examples a step sees depends on (seed, step) alone, so training goes on from the optimizer's step.
 */
export async function* trainSft(
  model: Model,
  optimizer: AdamW,
  task: Task,
  tokenizer: Tokenizer,
  stopTokenId: number,
  options: SftOptions,
): AsyncGenerator<SftMetrics> {
  const { maxSteps, tokensPerBatch, tokensPerMicroBatch, learningRate, scheduler, warmupSteps, seed, recompute } =
    options;
  const source = examples(task, tokenizer, stopTokenId, seed);
  let next = source.next().value as Example;
  const nextBatch = (): Example[] => {
    const batch: Example[] = [];
    for (let tokens = 0; batch.length === 0 || tokens + next.tokenIds.length <= tokensPerBatch;) {
      batch.push(next);
      tokens += next.tokenIds.length;
      next = source.next().value as Example;
    }
    return batch;
  };
  for (let step = 0; step < optimizer.step; step++) nextBatch(); // done before this run was interrupted
  while (optimizer.step < maxSteps) {
    const start = performance.now();
    const batch = nextBatch();
    const lengths = batch.map(({ tokenIds }) => tokenIds.length);
    const completionLengths = batch.map(({ tokenIds, promptLength }) => tokenIds.length - promptLength);
    const weightOf = tokenWeights(completionLengths, "token");
    let loss = 0;
    let likely = 0;
    for (const micro of microBatches([...batch.keys()], lengths, tokensPerMicroBatch)) {
      const packed = packSequences(micro.map((i) => batch[i]!.tokenIds));
      const weights = new Float32Array(packed.tokenIds.length);
      micro.forEach((i, s) =>
        weights.fill(weightOf[i]!, packed.cuSeqlens[s]! + batch[i]!.promptLength, packed.cuSeqlens[s + 1]!),
      );
      const result = await supervisedGradient(model, optimizer.gradients, packed, weights, { recompute });
      weights.forEach((weight, t) => {
        if (weight === 0) return;
        loss += result.loss[t]!;
        if (result.logprobs[t]! > -Math.LN2) likely++;
      });
    }
    const rate = learningRate * learningRateFactor(scheduler, optimizer.step, { warmupSteps, totalSteps: maxSteps });
    const norm = await optimizer.update(rate);
    yield {
      step: optimizer.step,
      loss,
      mean_token_accuracy: likely / completionLengths.reduce((a, b) => a + b, 0),
      grad_norm: norm,
      learning_rate: rate,
      num_tokens: lengths.reduce((a, b) => a + b, 0),
      step_time: (performance.now() - start) / 1000,
    };
  }
}
