import type { BlockManager } from "./block-manager.ts";
import type { Sequence } from "./sequence.ts";

/** Tokens of a sequence, positions [start, end), whose keys and values are to be computed before it can decode. */
export interface Prefill {
  sequence: Sequence;
  start: number;
  end: number;
}

/** For how many further rounds those that run must have room to grow where one is admitted again. */
const ROUNDS_OF_ROOM = 4;

/**
 * Decides which sequences run: as many as slots and blocks allow, first come first served. A sequence that finds no
 * block is preempted, newest first: it gives its blocks back and later computes its keys and values again. What it
 * has sampled stays, and since the random numbers depend on positions alone, so does all that it will sample. None is
 * admitted again whose blocks the others would soon want back: what is computed a second time must be worth it.
 */
export class Scheduler {
  readonly waiting: Sequence[];
  readonly running: Sequence[] = [];
  readonly #blocks: BlockManager;
  readonly #maxNumSeqs: number;

  constructor(sequences: readonly Sequence[], blocks: BlockManager, maxNumSeqs: number) {
    this.waiting = [...sequences];
    this.#blocks = blocks;
    this.#maxNumSeqs = maxNumSeqs;
  }

  get done(): boolean {
    return this.waiting.length === 0 && this.running.length === 0;
  }

  /**
   * Frees what has finished, makes sure that every running sequence has blocks for `steps` more tokens, and admits
   * from the queue. Returns what the newly admitted ones need computed, in order.
   */
  schedule(steps: number): Prefill[] {
    for (let i = this.running.length - 1; i >= 0; i--) {
      if (this.running[i]!.finishReason) this.#evict(i);
    }
    for (let i = 0; i < this.running.length; i++) {
      while (i < this.running.length && !this.#grow(this.running[i]!, steps)) {
        const last = this.running.length - 1;
        const preempted = this.running[last]!;
        this.#evict(last);
        this.waiting.unshift(preempted);
      }
    }
    const prefills: Prefill[] = [];
    while (this.waiting.length > 0 && this.running.length < this.#maxNumSeqs) {
      const prefill = this.#admit(this.waiting[0]!, steps);
      if (!prefill) break;
      this.running.push(this.waiting.shift()!);
      if (prefill.end > prefill.start) prefills.push(prefill);
    }
    return prefills;
  }

  /** To the end of the queue. */
  add(sequences: readonly Sequence[]): void {
    this.waiting.push(...sequences);
  }

  /** Takes a sequence out, wherever it is. */
  remove(sequence: Sequence): void {
    const at = this.running.indexOf(sequence);
    if (at >= 0) return this.#evict(at);
    if (sequence.finishReason) return; // it waits for nothing
    const place = this.waiting.indexOf(sequence);
    if (place >= 0) this.waiting.splice(place, 1);
  }

  /** Positions that `steps` decode steps touch: a step reads the last token and writes its keys and values. */
  #positions(sequence: Sequence, steps: number): number {
    return Math.min(sequence.length + steps - 1, sequence.maxLength);
  }

  #grow(sequence: Sequence, steps: number): boolean {
    const missing = this.#blocks.blocksFor(this.#positions(sequence, steps)) - sequence.blocks.length;
    if (missing > this.#blocks.numFree) return false;
    if (missing > 0) sequence.blocks.push(...this.#blocks.allocate(missing));
    return true;
  }

  #admit(sequence: Sequence, steps: number): Prefill | null {
    const { prompt } = sequence;
    // The last prompt token is always the sequence's own: it is the input of its first decode step.
    const numShared = Math.floor((prompt.tokenIds.length - 1) / this.#blocks.blockSize);
    const isFirst = prompt.holders === 0;
    const numOwn = Math.max(0, this.#blocks.blocksFor(this.#positions(sequence, steps)) - numShared);
    const left = this.#blocks.numFree - numOwn - (isFirst ? numShared : 0);
    if (left < 0 || (this.#isAgain(sequence) && left < this.#room(sequence, steps))) return null;
    if (isFirst) prompt.sharedBlocks = this.#blocks.allocate(numShared);
    else this.#blocks.share(prompt.sharedBlocks);
    prompt.holders++;
    sequence.blocks = [...prompt.sharedBlocks, ...this.#blocks.allocate(numOwn)];
    return { sequence, start: isFirst ? 0 : numShared * this.#blocks.blockSize, end: sequence.length - 1 };
  }

  #isAgain(sequence: Sequence): boolean {
    return this.running.length > 0 && sequence.tokenIds.length > 0;
  }

  /** Blocks that those who run and `another` will want in the next rounds. */
  #room(another: Sequence, steps: number): number {
    const wanted = (sequence: Sequence) =>
      this.#blocks.blocksFor(this.#positions(sequence, ROUNDS_OF_ROOM * steps)) -
      this.#blocks.blocksFor(this.#positions(sequence, steps));
    return this.running.reduce((sum, sequence) => sum + wanted(sequence), wanted(another));
  }

  #evict(index: number): void {
    const [sequence] = this.running.splice(index, 1);
    this.#blocks.release(sequence!.blocks);
    sequence!.blocks = [];
    sequence!.prompt.holders--;
  }
}
