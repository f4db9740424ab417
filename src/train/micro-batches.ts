import { microBatches } from "../core/batches.ts";
import { DeviceLostError, OutOfMemoryError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Allocation } from "../gpu/pool.ts";
import { packSequences, type PackedBatch } from "../model/batch.ts";
import type { Model } from "../model/model.ts";
import type { AdamW } from "./optimizer.ts";
import { joinRecorded, readRecorded, type Recorded } from "./recorded.ts";

/** Sequences that go through the model together: one response, or the two of a pair. */
export type Item = readonly (readonly number[])[];

/** Records the work of one micro-batch: the sequences of the items with these indices, packed in this order. */
export type RecordMicroBatch<R> = (packed: PackedBatch, items: readonly number[]) => Recorded<R>;

/** Hears, a line each, of trouble that a trainer got over. */
export type OnWarning = (message: string) => void;

/** What belongs to a pass over micro-batches besides them. */
interface PassEnds<E> {
  /** Recorded after the last. */
  finish: () => Recorded<E>;
  /** Takes back what they added to, before the pass begins anew. */
  undo: () => void;
}

const NO_ENDS: PassEnds<null> = { finish: () => ({ tensors: [], result: () => null }), undo: () => {} };

/**
 * How a trainer's batches go through the model: in micro-batches that are sent one after the other, with one wait at the end
 * of all. Where memory runs out, the batch begins anew with half the tokens a micro-batch, and the later ones keep to that: the
 * results have the bits of a run that had the smaller budget from this batch on.
 */
export class MicroBatches {
  #tokens: number;
  readonly #onWarning: OnWarning;

  /** `tokens`: of a micro-batch at most; an item longer than that goes alone. */
  constructor(tokens: number, onWarning: OnWarning = () => {}) {
    this.#tokens = tokens;
    this.#onWarning = onWarning;
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
      finish: () => optimizer.recordNorm(),
      undo: () => optimizer.clearGradients(),
    });
    optimizer.apply(norm, learningRate);
    return { results, norm };
  }

  async #pass<R, E>(
    model: Model,
    items: readonly Item[],
    record: RecordMicroBatch<R>,
    { finish, undo }: PassEnds<E>,
  ): Promise<[results: R[], end: E]> {
    const { gpu } = model;
    const lengths = items.map((sequences) => sequences.reduce((sum, { length }) => sum + length, 0));
    const split = (tokens: number) => microBatches([...items.keys()], lengths, tokens);
    model.rope(Math.max(0, ...items.flatMap((sequences) => sequences.map(({ length }) => length)))); // outlives the pass
    for (;;) {
      const batches = split(this.#tokens);
      const before = gpu.pool.inUse();
      let current: number[] | null = null;
      try {
        const recorded: Recorded<R>[] = [];
        for (current of batches) recorded.push(record(packSequences(current.flatMap((i) => items[i]!)), current));
        current = null; // what fails from here on may be any of them
        return await readRecorded(gpu, joinRecorded<[R[], E]>([joinRecorded<R[]>(recorded), finish()]));
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        await takeBack(gpu, before);
        undo();
        if (current?.length === 1 || batches.length === items.length) {
          const tokens = current?.length === 1 ? lengths[current[0]!]! : Math.max(...lengths);
          throw new OutOfMemoryError(
            `expected memory for ${tokens} tokens, which cannot be split, got none: ${error.message}; recompute activations, or use shorter responses or a smaller model`,
            { cause: error },
          );
        }
        const tried = this.#tokens;
        while (split(this.#tokens).length <= batches.length) this.#tokens = Math.floor(this.#tokens / 2);
        this.#onWarning(
          `out of memory with micro-batches of ${tried} tokens; goes on with ${this.#tokens} (${error.message})`,
        );
      }
    }
  }
}

/** Frees what came into use since `before`, once the device has done what was sent to it. */
export async function takeBack(gpu: Gpu, before: ReadonlySet<Allocation>): Promise<void> {
  gpu.pool.releaseAllBut(before);
  try {
    await gpu.idle();
  } catch (error) {
    // Commands on a buffer that the device had no memory for are errors too, and say nothing new.
    if (error instanceof DeviceLostError) throw error;
  }
  gpu.pool.trim();
}
