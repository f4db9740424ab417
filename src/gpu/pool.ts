import { OutOfMemoryError } from "../errors.ts";

/** A buffer of the pool. */
export interface Allocation {
  readonly id: number;
  readonly buffer: GPUBuffer;
  readonly size: number;
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

/** What an adapter says of buffers. */
export type BufferLimits = Pick<GPUSupportedLimits, "maxBufferSize" | "maxStorageBufferBindingSize">;

/**
 * Storage buffers, reused. Commands run in the order in which they were recorded, so a buffer
 * that was released may be handed out again at once to work that is recorded later.
 */
export class Pool {
  readonly #limits: BufferLimits;
  readonly #create: (size: number) => GPUBuffer;
  readonly #free = new Map<number, Allocation[]>();
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
    return this.allocatedBytes - this.usedBytes > MAX_IDLE_BYTES && !this.#free.get(this.#sizeFor(bytes))?.length;
  }

  acquire(bytes: number): Allocation {
    const size = this.#sizeFor(bytes);
    this.usedBytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.usedBytes);
    const reused = this.#free.get(size)?.pop();
    const allocation = reused ?? { id: this.#nextId++, buffer: this.#create(size), size, free: false };
    if (!reused) this.allocatedBytes += size;
    allocation.free = false;
    this.#used.add(allocation);
    return allocation;
  }

  /** Takes this very buffer, which is free. */
  take(allocation: Allocation): void {
    const list = this.#free.get(allocation.size);
    const at = list?.indexOf(allocation) ?? -1;
    if (at < 0) throw new Error("expected a free buffer of this pool");
    list!.splice(at, 1);
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
    const list = this.#free.get(allocation.size);
    if (list) list.push(allocation);
    else this.#free.set(allocation.size, [allocation]);
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
    for (const list of this.#free.values()) {
      for (const { buffer, size } of list) {
        buffer.destroy();
        this.allocatedBytes -= size;
      }
    }
    this.#free.clear();
  }

  #sizeFor(bytes: number): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#limits;
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    if (bytes > limit) {
      throw new OutOfMemoryError(
        `expected a buffer of at most ${limit} bytes (this adapter's limit), got ${bytes}; use a smaller model or fewer tokens per micro-batch`,
      );
    }
    return Math.min(sizeClass(bytes), Math.floor(limit / 4) * 4);
  }
}
