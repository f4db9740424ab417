import { OutOfMemoryError } from "../errors.ts";

/** A buffer of the pool. */
export interface Allocation {
  readonly id: number;
  readonly buffer: GPUBuffer;
  /** Bytes in the buffer. */
  readonly capacity: number;
  /** Of them those that its tensor, or its last one, was given: the tensor's size class. */
  size: number;
  free: boolean;
}

/** From here on waste costs more than sharing brings. */
const LARGE = 2 ** 24;

/**
 * Four sizes to each power of two: at most a quarter is wasted, and tensors of nearly equal size share buffers. Of large ones
 * sixteen: weights and their optimizer state are most of the memory.
 */
export function sizeClass(bytes: number): number {
  if (bytes <= 1024) return Math.max(256, Math.ceil(bytes / 256) * 256);
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - (bytes > LARGE ? 4 : 2));
  return Math.ceil(bytes / step) * step;
}

/**
 * Idle bytes that the pool keeps before it asks for more. Micro-batches of different lengths need buffers of different sizes:
 * without a bound, those of every length seen would stay. With it, the pool holds at most this much more than the most that was
 * ever in use at once.
 */
export const MAX_IDLE_BYTES = 2 ** 31;

/**
 * What an idle buffer may waste on a smaller tensor: half of itself, and always this much. Micro-batches of every length have
 * size classes of their own; if only equal ones shared buffers, each would keep a set of all activations.
 */
const TOLERABLE_WASTE = 2 ** 22;

/** What an adapter says of buffers. */
export type BufferLimits = Pick<GPUSupportedLimits, "maxBufferSize">;

/**
 * Storage buffers, reused. Commands run in the order in which they were recorded, so a buffer
 * that was released may be handed out again at once to work that is recorded later.
 */
export class Pool {
  readonly #limits: BufferLimits;
  readonly #create: (size: number) => GPUBuffer;
  /** Smaller ones first, then older ones: work that is done again finds the same buffers, and so the bind groups made for them. */
  readonly #idle: Allocation[] = [];
  readonly #used = new Set<Allocation>();
  #nextId = 1;
  /** Bytes in buffers that exist, in use or free. */
  allocatedBytes = 0;
  /** Of them in use, now and at most since `peakBytes` was last set. */
  usedBytes = 0;
  peakBytes = 0;

  constructor(limits: BufferLimits, create: (size: number) => GPUBuffer) {
    this.#limits = limits;
    this.#create = create;
  }

  /** Whether a buffer for `bytes` would have to be made while more than MAX_IDLE_BYTES lie idle. */
  hoards(bytes: number): boolean {
    return this.allocatedBytes - this.usedBytes > MAX_IDLE_BYTES && this.#indexFor(this.#sizeFor(bytes)) < 0;
  }

  /** `exact`: of no other size class, so that what a recording keeps does not depend on what happens to be idle. */
  acquire(bytes: number, { exact = false } = {}): Allocation {
    const size = this.#sizeFor(bytes);
    this.usedBytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.usedBytes);
    const index = exact ? this.#idle.findIndex(({ capacity }) => capacity === size) : this.#indexFor(size);
    const [reused] = index < 0 ? [] : this.#idle.splice(index, 1);
    const allocation = reused ?? { id: this.#nextId++, buffer: this.#create(size), capacity: size, size, free: false };
    if (!reused) this.allocatedBytes += size;
    allocation.size = size;
    allocation.free = false;
    this.#used.add(allocation);
    return allocation;
  }

  /** Takes this very buffer, which is free. */
  take(allocation: Allocation): void {
    const index = this.#idle.indexOf(allocation);
    if (index < 0) throw new Error("expected a free buffer of this pool");
    this.#idle.splice(index, 1);
    allocation.free = false;
    this.#used.add(allocation);
    this.usedBytes += allocation.size;
    this.peakBytes = Math.max(this.peakBytes, this.usedBytes);
  }

  release(allocation: Allocation): void {
    if (allocation.free) throw new Error("a tensor was released twice");
    allocation.free = true;
    this.#used.delete(allocation);
    this.usedBytes -= allocation.size;
    const { capacity, id } = allocation;
    const next = this.#idle.findIndex((other) => (other.capacity - capacity || other.id - id) > 0);
    this.#idle.splice(next < 0 ? this.#idle.length : next, 0, allocation);
  }

  /** The buffers in use now. */
  inUse(): ReadonlySet<Allocation> {
    return new Set(this.#used);
  }

  /** Releases what is in use and not in `kept`: what work that failed halfway has left. */
  releaseAllBut(kept: ReadonlySet<Allocation>): void {
    for (const allocation of this.#used) if (!kept.has(allocation)) this.release(allocation);
  }

  /** Gives free buffers back to the device. Nothing that is recorded and not yet sent may use them. */
  trim(): void {
    for (const { buffer, capacity } of this.#idle) {
      buffer.destroy();
      this.allocatedBytes -= capacity;
    }
    this.#idle.length = 0;
  }

  /** Where the smallest idle buffer for `size` bytes is that does not waste too much; -1 without one. */
  #indexFor(size: number): number {
    const index = this.#idle.findIndex(({ capacity }) => capacity >= size);
    return index >= 0 && this.#idle[index]!.capacity <= Math.max(2 * size, size + TOLERABLE_WASTE) ? index : -1;
  }

  #sizeFor(bytes: number): number {
    const { maxBufferSize: limit } = this.#limits;
    if (bytes > limit) {
      throw new OutOfMemoryError(
        `expected a buffer of at most ${limit} bytes (this adapter's limit), got ${bytes}; use a smaller model or fewer tokens per micro-batch`,
      );
    }
    return Math.min(sizeClass(bytes), Math.floor(limit / 4) * 4);
  }
}
