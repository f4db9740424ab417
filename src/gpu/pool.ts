import { OutOfMemoryError } from "../errors.ts";

/** A buffer of the pool. */
export interface Allocation {
  readonly id: number;
  readonly buffer: GPUBuffer;
  readonly size: number;
  free: boolean;
}

/** Four sizes to each power of two: at most a quarter is wasted, and tensors of nearly equal size share buffers. */
export function sizeClass(bytes: number): number {
  if (bytes <= 1024) return Math.max(256, Math.ceil(bytes / 256) * 256);
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - 2);
  return Math.ceil(bytes / step) * step;
}

/**
 * Storage buffers, reused. Commands run in the order in which they were recorded, so a buffer
 * that was released may be handed out again at once to work that is recorded later.
 */
export class Pool {
  readonly #device: GPUDevice;
  readonly #free = new Map<number, Allocation[]>();
  #nextId = 1;
  /** Bytes in buffers that exist, in use or free. */
  allocatedBytes = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  acquire(bytes: number): Allocation {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    if (bytes > limit) {
      throw new OutOfMemoryError(
        `expected a buffer of at most ${limit} bytes (this adapter's limit), got ${bytes}; use a smaller model or fewer tokens per micro-batch`,
      );
    }
    const size = Math.min(sizeClass(bytes), Math.floor(limit / 4) * 4);
    const reused = this.#free.get(size)?.pop();
    if (reused) {
      reused.free = false;
      return reused;
    }
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const allocation = {
      id: this.#nextId++,
      buffer: this.#device.createBuffer({ size, usage }),
      size,
      free: false,
    };
    this.allocatedBytes += size;
    return allocation;
  }

  release(allocation: Allocation): void {
    if (allocation.free) throw new Error("a tensor was released twice");
    allocation.free = true;
    const list = this.#free.get(allocation.size);
    if (list) list.push(allocation);
    else this.#free.set(allocation.size, [allocation]);
  }
}
