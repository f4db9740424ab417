import { ShapeError } from "../errors.ts";
import type { Allocation } from "./pool.ts";

/** "bf16" packs two elements to a u32: element 2i in the low half, 2i + 1 in the high half. */
export type DType = "f32" | "bf16" | "u32" | "i32";

/** How a model's weights and KV cache are stored ("elem" storage in the kernels). */
export type Storage = "f32" | "bf16";

export const elementCount = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Bytes that `shape` takes on the device, rounded up to whole 32-bit words. */
export function byteLength(shape: readonly number[], dtype: DType): number {
  const n = elementCount(shape);
  return dtype === "bf16" ? Math.ceil(n / 2) * 4 : n * 4;
}

/** A dense row-major array on the device. The buffer may be larger than the tensor: it comes from a pool, or holds more rows. */
export class Tensor {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly allocation: Allocation;
  /** Bytes in the buffer before the tensor. */
  readonly offset: number;

  constructor(allocation: Allocation, shape: readonly number[], dtype: DType, offset = 0) {
    this.allocation = allocation;
    this.shape = shape;
    this.dtype = dtype;
    this.offset = offset;
  }

  get buffer(): GPUBuffer {
    return this.allocation.buffer;
  }

  /** Number of elements. */
  get size(): number {
    return elementCount(this.shape);
  }

  get byteLength(): number {
    return byteLength(this.shape, this.dtype);
  }

  /** The same memory under another shape of the same size. */
  view(shape: readonly number[]): Tensor {
    if (elementCount(shape) !== this.size) {
      throw new ShapeError(`view: expected ${this.size} elements as in [${this.shape}], got [${shape}]`);
    }
    return new Tensor(this.allocation, shape, this.dtype, this.offset);
  }

  /** Rows `first` to `first + count` of this tensor [N, ...], in the same memory. */
  rows(first: number, count: number): Tensor {
    const [rows = 0, ...rest] = this.shape;
    if (first < 0 || first + count > rows) {
      throw new ShapeError(`rows: expected some of ${rows}, got ${first} to ${first + count}`);
    }
    const start = byteLength([first, ...rest], this.dtype);
    return new Tensor(this.allocation, [count, ...rest], this.dtype, this.offset + start);
  }
}
