import { OutOfMemoryError } from "../errors.ts";
import type { Verdict } from "./failures.ts";

/** Whose a buffer is. Compared, never looked into. */
export type Owner = object;

/** A buffer of the pool. */
export interface Allocation {
  readonly id: number;
  readonly buffer: GPUBuffer;
  /** Bytes in the buffer. */
  readonly capacity: number;
  /** Of them those that its tensor, or its last one, was given: the tensor's size class. */
  size: number;
  /** Null while it is free. */
  owner: Owner | null;
  readonly maker: Owner;
  /** Whether the device has memory for it, while it has not said so: until then it is nobody's but its maker's. */
  verdict: Verdict | null;
  /** The device has none. */
  failed: boolean;
}

/** A new buffer, and the device's verdict on it where that comes later. */
export interface Made {
  buffer: GPUBuffer;
  verdict: Verdict | null;
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
 * Bytes beyond those in use that the pool keeps before it asks for more: idle buffers, and what is wasted in buffers that are larger
 * than their tensor. Micro-batches of different lengths need buffers of different sizes: without a bound, those of every length
 * seen would stay. With it, the pool holds at most this much more than the most that was ever in use at once.
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
  readonly #create: (size: number) => Made;
  /** Smaller ones first, then older ones: work that is done again finds the same buffers, and so the bind groups made for them. */
  readonly #idle: Allocation[] = [];
  readonly #used = new Set<Allocation>();
  #nextId = 1;
  /** Bytes in buffers that exist, in use or free. */
  allocatedBytes = 0;
  /** Bytes that tensors in use were given, now and at most since `peakBytes` was last set. */
  usedBytes = 0;
  peakBytes = 0;
  /** Bytes that buffers in use have beyond those. */
  #wastedBytes = 0;

  constructor(limits: BufferLimits, create: (size: number) => Made) {
    this.#limits = limits;
    this.#create = create;
  }

  /** Bytes in free buffers: what `trim` gives back. */
  get idleBytes(): number {
    return this.allocatedBytes - this.usedBytes - this.#wastedBytes;
  }

  /** Whether a buffer for `bytes` would have to be made while free ones keep the pool above its bound. */
  hoards(owner: Owner, bytes: number): boolean {
    const isAbove = this.idleBytes + this.#wastedBytes > MAX_IDLE_BYTES;
    return isAbove && this.#idle.length > 0 && this.#indexFor(owner, this.#sizeFor(bytes)) < 0;
  }

  /** `exact`: of no other size class, so that what a recording keeps does not depend on what happens to be idle. */
  acquire(owner: Owner, bytes: number, { exact = false } = {}): Allocation {
    const size = this.#sizeFor(bytes);
    const index = this.#indexFor(owner, size, exact);
    const [reused] = index < 0 ? [] : this.#idle.splice(index, 1);
    const allocation = reused ?? this.#make(owner, size);
    this.#use(owner, allocation, size);
    return allocation;
  }

  /** Whether this buffer is one of the pool's, and in use. */
  has(allocation: Allocation): boolean {
    return this.#used.has(allocation);
  }

  /** Takes this very buffer, which is free. */
  take(owner: Owner, allocation: Allocation): void {
    const index = this.#idle.indexOf(allocation);
    if (index < 0) throw new Error("expected a free buffer of this pool");
    this.#idle.splice(index, 1);
    this.#use(owner, allocation, allocation.size);
  }

  release(owner: Owner, allocation: Allocation): void {
    if (allocation.owner === null) throw new Error("a tensor was released twice");
    if (allocation.owner !== owner) throw new Error("expected a tensor of this scope, got another's to release");
    allocation.owner = null;
    this.#used.delete(allocation);
    this.usedBytes -= allocation.size;
    this.#wastedBytes -= allocation.capacity - allocation.size;
    const { capacity, id } = allocation;
    const next = this.#idle.findIndex((other) => (other.capacity - capacity || other.id - id) > 0);
    this.#idle.splice(next < 0 ? this.#idle.length : next, 0, allocation);
    if (allocation.failed) this.#drop(allocation);
  }

  /** Releases all that this owner has in use. */
  releaseAll(owner: Owner): void {
    for (const allocation of this.#used) if (allocation.owner === owner) this.release(owner, allocation);
  }

  /** Gives free buffers back to the device. Nothing that is recorded and not yet sent may use them. */
  trim(): void {
    for (const { buffer, capacity } of this.#idle) {
      buffer.destroy();
      this.allocatedBytes -= capacity;
    }
    this.#idle.length = 0;
  }

  #make(owner: Owner, size: number): Allocation {
    const { buffer, verdict } = this.#create(size);
    const allocation: Allocation = {
      id: this.#nextId++,
      buffer,
      capacity: size,
      size,
      owner,
      maker: owner,
      verdict,
      failed: false,
    };
    this.allocatedBytes += size;
    void verdict?.then((error) => {
      allocation.verdict = null;
      allocation.failed = error !== null;
      if (error) this.#drop(allocation);
    });
    return allocation;
  }

  #use(owner: Owner, allocation: Allocation, size: number): void {
    allocation.owner = owner;
    allocation.size = size;
    this.#used.add(allocation);
    this.usedBytes += size;
    this.#wastedBytes += allocation.capacity - size;
    this.peakBytes = Math.max(this.peakBytes, this.usedBytes);
  }

  /** Gives up a buffer that there is no memory for, as soon as it is free. */
  #drop(allocation: Allocation): void {
    const index = this.#idle.indexOf(allocation);
    if (index < 0) return;
    this.#idle.splice(index, 1);
    allocation.buffer.destroy();
    this.allocatedBytes -= allocation.capacity;
  }

  /** Where the smallest idle buffer for `size` bytes is that does not waste more than it may; -1 without one. */
  #indexFor(owner: Owner, size: number, exact = false): number {
    const tolerable = Math.min(Math.max(size, TOLERABLE_WASTE), MAX_IDLE_BYTES - this.#wastedBytes);
    const most = exact ? size : size + tolerable;
    return this.#idle.findIndex(
      ({ capacity, maker, verdict }) => capacity >= size && capacity <= most && (verdict === null || maker === owner),
    );
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
