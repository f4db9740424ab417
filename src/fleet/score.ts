import { itemLogprobs } from "../train/logprobs.ts";
import { MicroBatches } from "../train/micro-batches.ts";
import type { Model } from "../model/model.ts";
import type { Result, Task } from "./messages.ts";

/** Tokens that go through the reference together. */
const TOKENS = 4096;

type Samples = Result["outputs"];

/** A task's samples with the reference's log-probabilities beside the policy's: the bits that the trainer's own pass would give. */
export async function scoreSamples(reference: Model, task: Task, samples: Samples): Promise<Samples> {
  const sequences = samples.map(({ tokenIds }) => [[...task.promptTokenIds, ...tokenIds]]);
  const logprobs = await itemLogprobs(new MicroBatches(TOKENS), reference, sequences, task);
  const ofResponse = (s: number) => Array.from(logprobs[s]![0]!.subarray(task.promptTokenIds.length));
  return samples.map((sample, s) => ({ ...sample, refLogprobs: ofResponse(s) }));
}
