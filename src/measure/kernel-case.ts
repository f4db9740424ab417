import type { Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { byteLength, type DType, type Storage, type Tensor } from "../gpu/tensor.ts";
import type { ModelConfig } from "../model/config.ts";
import { fillRandom } from "./tensors.ts";

/** What a kernel is measured for: the shapes of a model at some number of rows. */
export interface KernelShape {
  config: ModelConfig;
  storage: Storage;
  /** Tokens that go through together: of one sequence where the kernel attends, of one decode step where it samples. */
  rows: number;
  /** Positions in the cache of each decoding sequence. */
  context: number;
}

export interface TensorSpec {
  shape: readonly number[];
  dtype: DType;
  /** What u32 and i32 tensors hold, and f32 ones where it matters; random numbers otherwise. */
  values?: Uint32Array | Float32Array;
}

/** One kernel on one shape. */
export interface KernelCase {
  /** As its entry point is called, or its wrapper where that records several. */
  kernel: string;
  shape: string;
  storage: Storage;
  /** Multiplications and additions of the formula's products; 0 where there are none: then memory is what it waits for. */
  flops: number;
  /** Bytes that must be read and written once, whatever the kernel does. */
  bytes: number;
  tensors: Readonly<Record<string, TensorSpec>>;
  record(rec: Recorder, tensors: Readonly<Record<string, Tensor>>): void;
}

export const f32 = (...shape: number[]): TensorSpec => ({ shape, dtype: "f32" });
export const elem = (storage: Storage, ...shape: number[]): TensorSpec => ({ shape, dtype: storage });
export const u32 = (values: Uint32Array, shape: readonly number[] = [values.length]): TensorSpec => ({
  shape,
  dtype: "u32",
  values,
});

/** A case whose tensors are each read or written once unless `bytes` says otherwise. */
export function kernelCase<K extends string>(options: {
  kernel: string;
  shape: string;
  storage?: Storage;
  flops?: number;
  bytes?: number;
  tensors: Record<K, TensorSpec>;
  record: (rec: Recorder, tensors: Record<K, Tensor>) => void;
}): KernelCase {
  const specs = Object.values<TensorSpec>(options.tensors);
  const bytes = specs.reduce((sum, { shape, dtype }) => sum + byteLength(shape, dtype), 0);
  return { storage: "f32", flops: 0, bytes, ...options, record: options.record as KernelCase["record"] };
}

/** Allocates and fills a case's tensors. */
export function allocate(gpu: Gpu, { tensors }: KernelCase): Record<string, Tensor> {
  const allocated: Record<string, Tensor> = {};
  for (const [name, { shape, dtype, values }] of Object.entries(tensors)) {
    const tensor = gpu.empty(shape, dtype);
    allocated[name] = tensor;
    if (values) gpu.write(tensor, values);
    else fillRandom(gpu, tensor, 0.5);
  }
  return allocated;
}
