import type { Model } from "../model/model.ts";
import { itemLogprobs } from "../train/logprobs.ts";
import { MicroBatches } from "../train/micro-batches.ts";
import type { Result, Task } from "./messages.ts";

/** Tokens that go through the reference together. */
const TOKENS = 4096;

type Samples = Result["outputs"];

interface Waiting {
  task: Pick<Task, "promptTokenIds" | "temperature">;
  samples: Samples;
  done: PromiseWithResolvers<Samples>;
}

/** Takes the reference's log-probabilities of what tasks drew: the bits that the trainer's own pass would give. */
export class Scorer {
  readonly reference: Model;
  #waiting: Waiting[] = [];
  #isBusy = false;

  constructor(reference: Model) {
    this.reference = reference;
  }

  /** A task's samples with the reference's log-probabilities beside the policy's. What waits meanwhile goes through together. */
  score(task: Waiting["task"], samples: Samples): Promise<Samples> {
    const done = Promise.withResolvers<Samples>();
    this.#waiting.push({ task, samples, done });
    void this.#work();
    return done.promise;
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    while (this.#waiting.length > 0) {
      const { temperature } = this.#waiting[0]!.task;
      const together = this.#waiting.filter(({ task }) => task.temperature === temperature);
      this.#waiting = this.#waiting.filter((one) => !together.includes(one));
      try {
        const scores = (await this.#scores(together, temperature)).values();
        for (const { samples, done } of together)
          done.resolve(samples.map((sample) => ({ ...sample, refLogprobs: scores.next().value! })));
      } catch (error) {
        for (const { done } of together) done.reject(error);
      }
    }
    this.#isBusy = false;
  }

  /** For each sample of the tasks. */
  async #scores(tasks: readonly Waiting[], temperature: number): Promise<number[][]> {
    const responses = tasks.flatMap(({ task: { promptTokenIds }, samples }) =>
      samples.map(({ tokenIds }) => ({ promptTokenIds, tokenIds })),
    );
    const items = responses.map(({ promptTokenIds, tokenIds }) => [[...promptTokenIds, ...tokenIds]]);
    const logprobs = await itemLogprobs(new MicroBatches(TOKENS), this.reference, items, { temperature });
    return responses.map(({ promptTokenIds }, i) => Array.from(logprobs[i]![0]!.subarray(promptTokenIds.length)));
  }
}
