import { learningRateFactor, type LrScheduler } from "../core/schedule.ts";
import { layResponses } from "../model/batch.ts";
import type { Model } from "../model/model.ts";
import { itemLogprobs } from "./logprobs.ts";
import { MicroBatches, type PassHost } from "./micro-batches.ts";
import type { AdamW } from "./optimizer.ts";
import { preferenceGradient } from "./policy.ts";
import { passes } from "./sft.ts";

/** Two responses to one prompt, stop tokens with them. */
export interface PreferencePair {
  promptTokenIds: readonly number[];
  chosen: readonly number[];
  rejected: readonly number[];
}

/** DPO's loss, or SimPO's (Meng et al. 2024): means a token instead of sums, a margin that is asked for, and no reference. */
export type PreferenceLoss = "sigmoid" | "simpo";

export interface DpoOptions {
  lossType: PreferenceLoss;
  /** Strength of the tie to the reference; for SimPO the scale of the mean log-probabilities. */
  beta: number;
  /** By how much SimPO wants the chosen response preferred. */
  simpoGamma: number;
  maxSteps: number;
  pairsPerBatch: number;
  tokensPerMicroBatch: number;
  learningRate: number;
  scheduler: LrScheduler;
  warmupSteps: number;
  seed: number;
  recompute: boolean;
}

/** One step of preference optimisation, under TRL's names. */
export interface DpoMetrics {
  step: number;
  /** Mean over pairs of -log sigmoid(margin), for SimPO of the margin less what is asked for. */
  loss: number;
  /** Share of pairs whose chosen response the policy prefers, against the reference. */
  "rewards/accuracies": number;
  "rewards/margins": number;
  grad_norm: number;
  learning_rate: number;
  /** Prompt and response tokens. */
  num_tokens: number;
  /** Seconds. */
  step_time: number;
}

/** A pair with what the loss needs of the reference: log-probabilities of the responses' tokens. */
interface Prepared {
  sequences: [chosen: number[], rejected: number[]];
  refLogprobs: [chosen: Float32Array, rejected: Float32Array];
}

/**
 * Direct preference optimisation (Rafailov et al. 2023; the paper's baseline, section 5.1), or SimPO. `reference` is read once, before
 * the first step, and not at all for SimPO. Yields after each step; goes on from `optimizer.step`.
 */
export async function* trainDpo(
  model: Model,
  reference: Model | null,
  optimizer: AdamW,
  pairs: readonly PreferencePair[],
  options: DpoOptions,
  host: PassHost = {},
): AsyncGenerator<DpoMetrics> {
  const { beta, maxSteps, pairsPerBatch, tokensPerMicroBatch, learningRate, scheduler, warmupSteps, seed, recompute } =
    options;
  const isSimpo = options.lossType === "simpo";
  const gamma = isSimpo ? options.simpoGamma : 0;
  const microBatches = new MicroBatches(tokensPerMicroBatch, host);
  const order = passes(await prepare(isSimpo ? null : reference, pairs, microBatches, pairsPerBatch), seed);
  const nextBatch = () => Array.from({ length: pairsPerBatch }, () => order.next().value);
  for (let step = 0; step < optimizer.step; step++) nextBatch(); // done before this run was interrupted
  while (optimizer.step < maxSteps) {
    const start = performance.now();
    const batch = nextBatch();
    const pairWeight = 1 / batch.length;
    const rate = learningRate * learningRateFactor(scheduler, optimizer.step, { warmupSteps, totalSteps: maxSteps });
    const sequences = batch.map((pair) => pair.sequences);
    const { results, norm } = await microBatches.step(optimizer, sequences, rate, (packed, items, gpu) => {
      const responses = items.flatMap((i) => batch[i]!.refLogprobs);
      const targets = {
        weights: layResponses(
          packed,
          responses.map(({ length }) => new Float32Array(length).fill(isSimpo ? 1 / length : 1)),
        ),
        refLogprobs: layResponses(packed, responses),
      };
      return preferenceGradient(
        model,
        optimizer.gradients,
        packed,
        targets,
        { beta, gamma, pairWeight, recompute },
        gpu,
      );
    });
    const total = { loss: 0, preferred: 0, margin: 0 };
    for (const { loss, margins } of results) {
      total.loss += loss.reduce((a, b) => a + b, 0);
      for (const margin of margins) {
        total.margin += margin * pairWeight;
        if (margin > 0) total.preferred += pairWeight;
      }
    }
    yield {
      step: optimizer.step,
      loss: total.loss,
      "rewards/accuracies": total.preferred,
      "rewards/margins": total.margin,
      grad_norm: norm,
      learning_rate: rate,
      num_tokens: sequences.flat().reduce((sum, { length }) => sum + length, 0),
      step_time: (performance.now() - start) / 1000,
    };
  }
}

/** The pairs with the reference's log-probabilities, read once for every `pairsPerRead` pairs; 0 where there is none. */
async function prepare(
  reference: Model | null,
  pairs: readonly PreferencePair[],
  microBatches: MicroBatches,
  pairsPerRead: number,
): Promise<Prepared[]> {
  const prepared = pairs.map(({ promptTokenIds, chosen, rejected }): Prepared => ({
    sequences: [
      [...promptTokenIds, ...chosen],
      [...promptTokenIds, ...rejected],
    ],
    refLogprobs: [new Float32Array(chosen.length), new Float32Array(rejected.length)],
  }));
  if (!reference) return prepared;
  for (let first = 0; first < pairs.length; first += pairsPerRead) {
    const part = prepared.slice(first, first + pairsPerRead);
    const logprobs = await itemLogprobs(
      microBatches,
      reference,
      part.map(({ sequences }) => sequences),
      { temperature: 1 },
    );
    part.forEach((pair, i) => {
      const { length } = pairs[first + i]!.promptTokenIds;
      pair.refLogprobs = logprobs[i]!.map((values) => values.subarray(length)) as Prepared["refLogprobs"];
    });
  }
  return prepared;
}
