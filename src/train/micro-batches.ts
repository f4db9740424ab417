import { microBatches } from "../core/batches.ts";
import { OutOfMemoryError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { packSequences, type PackedBatch } from "../model/batch.ts";
import type { Model } from "../model/model.ts";
import { Budget } from "./budget.ts";
import type { AdamW } from "./optimizer.ts";
import { joinRecorded, readRecorded, type Recorded } from "./recorded.ts";

/** Sequences that go through the model together: one response, or the two of a pair. */
export type Item = readonly (readonly number[])[];

/** Records the work of one micro-batch, part of the job `gpu`: the sequences of the items with these indices, packed in this order. */
export type RecordMicroBatch<R> = (packed: PackedBatch, items: readonly number[], gpu: Gpu) => Promise<Recorded<R>>;

/** Hears, a line each, of trouble that a trainer got over. */
export type OnWarning = (message: string) => void;

/** Hears how many of the items of a pass are done. */
export type OnItems = (done: number, total: number) => void;

/** Who a trainer's passes are for. */
export interface PassHost {
  /** What memory allows: of the run that this goes on from. */
  budget?: Budget | undefined;
  onWarning?: OnWarning | undefined;
  /** Within each pass over a batch. */
  onProgress?: OnItems | undefined;
}

/** What belongs to a pass over micro-batches besides them. */
interface PassEnds<E> {
  /** Comes before the first. */
  begin: () => Promise<void>;
  /** Recorded after the last. */
  finish: (gpu: Gpu) => Promise<Recorded<E>>;
  /** Takes back what they added to, where the pass fails. */
  undo: () => void;
}

const NO_ENDS: PassEnds<null> = {
  begin: async () => {},
  finish: async () => ({ tensors: [], result: () => null }),
  undo: () => {},
};

/**
 * How a trainer's batches go through the model: in micro-batches that are sent one after the other. Where much is under way, the
 * next waits; results are read once, after all. Where memory runs out, idle memory is given back and the batch begins anew; where it
 * runs out again, with half the tokens a micro-batch, as `budget` then has it: the results have the bits of a run that had the
 * smaller budget from this batch on.
 */
export class MicroBatches {
  readonly #tokens: number;
  readonly #budget: Budget;
  readonly #onWarning: OnWarning;
  readonly #onProgress: OnItems;

  /** `tokens`: of a micro-batch at most; an item longer than that goes alone. */
  constructor(tokens: number, { budget = new Budget(), onWarning = () => {}, onProgress = () => {} }: PassHost = {}) {
    this.#tokens = tokens;
    this.#budget = budget;
    this.#onWarning = onWarning;
    this.#onProgress = onProgress;
  }

  /**
   * The results of all micro-batches of `items`, in their order.
   *
   * @throws OutOfMemoryError where an item does not fit alone
   */
  async run<R>(model: Model, items: readonly Item[], record: RecordMicroBatch<R>): Promise<R[]> {
    const [results] = await this.#pass(model, items, record, NO_ENDS);
    return results;
  }

  /**
   * One optimizer step, `record` adding to the optimizer's gradients: the results of all micro-batches, and the gradient's norm
   * before clipping.
   *
   * @throws OutOfMemoryError where an item does not fit alone; model and optimizer are then as before the step
   */
  async step<R>(
    optimizer: AdamW,
    items: readonly Item[],
    learningRate: number,
    record: RecordMicroBatch<R>,
  ): Promise<{ results: R[]; norm: number }> {
    const [results, norm] = await this.#pass(optimizer.model, items, record, {
      begin: () => optimizer.begin(),
      finish: (gpu) => optimizer.recordNorm(gpu),
      undo: () => optimizer.dropGradients(),
    });
    await optimizer.apply(norm, learningRate);
    this.#budget.pass(this.#tokens);
    return { results, norm };
  }

  async #pass<R, E>(
    model: Model,
    items: readonly Item[],
    record: RecordMicroBatch<R>,
    ends: PassEnds<E>,
  ): Promise<[results: R[], end: E]> {
    const lengths = items.map((sequences) => sequences.reduce((sum, { length }) => sum + length, 0));
    const split = (tokens: number) => microBatches([...items.keys()], lengths, tokens);
    for (let tries = 0; ; tries++) {
      const tokens = this.#budget.size(this.#tokens);
      const batches = split(tokens);
      let recording: readonly number[] | null = null;
      try {
        return await this.#attempt(model, items, batches, ends, async (packed, indices, gpu) => {
          recording = indices;
          const recorded = await record(packed, indices, gpu);
          recording = null; // what fails from here on may be any of them
          return recorded;
        });
      } catch (error) {
        ends.undo();
        if (!(error instanceof OutOfMemoryError)) throw error;
        await model.gpu.trim();
        if (tries === 0) continue;
        const alone = (recording as readonly number[] | null)?.length === 1 ? lengths[recording![0]!]! : null;
        if (alone !== null || batches.length === items.length) {
          throw new OutOfMemoryError(
            `expected memory for ${alone ?? Math.max(...lengths)} tokens, which cannot be split, got none: ${error.message}; recompute activations, or use shorter responses or a smaller model`,
            { cause: error },
          );
        }
        let fewer = tokens;
        while (split(fewer).length <= batches.length) fewer = Math.floor(fewer / 2);
        this.#budget.shrink(fewer);
        this.#onWarning(
          `out of memory with micro-batches of ${tokens} tokens; goes on with ${fewer} (${error.message})`,
        );
      }
    }
  }

  /** One pass as a job of its own: nothing of it is left, whatever happens. */
  async #attempt<R, E>(
    model: Model,
    items: readonly Item[],
    batches: readonly number[][],
    { begin, finish }: PassEnds<E>,
    record: RecordMicroBatch<R>,
  ): Promise<[results: R[], end: E]> {
    await model.reserve(Math.max(0, ...items.flatMap((sequences) => sequences.map(({ length }) => length))));
    await begin();
    const gpu = model.gpu.scope();
    try {
      const recorded: Recorded<R>[] = [];
      let done = 0;
      for (const indices of batches) {
        if (await gpu.throttle()) this.#onProgress(done, items.length);
        recorded.push(await record(packSequences(indices.flatMap((i) => items[i]!)), indices, gpu));
        done += indices.length;
      }
      const all = joinRecorded<[R[], E]>([joinRecorded<R[]>(recorded), await finish(gpu)]);
      const results = await readRecorded(gpu, all);
      this.#onProgress(done, items.length);
      return results;
    } finally {
      gpu.close();
    }
  }
}
