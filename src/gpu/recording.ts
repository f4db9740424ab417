import type { Allocation, Owner, Pool } from "./pool.ts";

/** A dispatch with everything that encoding it takes. */
export interface Command {
  label: string;
  pipeline: GPUComputePipeline;
  bindGroup: GPUBindGroup;
  groups: [number, number, number];
  /** Where its parameters lie, in bytes from those of the first command of its submit; null without parameters. */
  offset: number | null;
  /** Bytes of its tensors. */
  bytes: number;
}

/** Commands that are sent together, and their parameters. */
export interface CommandList {
  commands: Command[];
  params: Uint32Array;
}

/**
 * Work recorded to be sent again and again (Recorder.capture). It keeps the buffers that the work had for its own, so that
 * nobody else gets them meanwhile; those that were in use before it was recorded have to outlive it.
 */
export class Recording {
  readonly lists: readonly CommandList[];
  readonly #pool: Pool;
  readonly #owner: Owner;
  readonly #held: readonly Allocation[];

  /** `used`: all buffers that the work touches. */
  constructor(lists: readonly CommandList[], pool: Pool, owner: Owner, used: Iterable<Allocation>) {
    this.lists = lists;
    this.#pool = pool;
    this.#owner = owner;
    this.#held = [...new Set(used)].filter((allocation) => allocation.owner === null);
    for (const allocation of this.#held) pool.take(owner, allocation);
  }

  dispose(): void {
    for (const allocation of this.#held) this.#pool.release(this.#owner, allocation);
  }
}
