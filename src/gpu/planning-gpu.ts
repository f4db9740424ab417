import type { Gpu } from "./gpu.ts";
import type { Kernel } from "./kernel.ts";
import { Pool, type Allocation } from "./pool.ts";
import { fold, type Dispatch } from "./recorder.ts";
import { Recording } from "./recording.ts";
import { byteLength, Tensor, type DType } from "./tensor.ts";

/** What kernels choose their variants by. */
export type KernelTraits = Pick<Gpu, "tier" | "matrices" | "info" | "limits" | "maxBindingSize" | "tuning">;

/**
 * A Gpu without a device: code that runs on it takes and releases the tensors that it would, checks shapes and the sizes of
 * dispatches, and computes nothing. What it reads back is empty. `pool` then tells the memory that the same code needs on an
 * adapter: one of the baseline tier, or one that is `like` another. The pool makes buffers of any size and kernels take what they
 * are given, so that a plan tells what would be needed; `limits` are those of `like`, by which the engine sizes its KV cache.
 */
export function planningGpu(
  { onBuffer, onBinding }: { onBuffer?: (bytes: number) => void; onBinding?: (bytes: number) => void } = {},
  like?: KernelTraits,
): Gpu {
  const unlimited = { maxBufferSize: Infinity, maxStorageBufferBindingSize: Infinity };
  const maxBindingSize = like?.maxBindingSize ?? Infinity;
  const buffer = { destroy() {} } as GPUBuffer;
  const pool = new Pool(unlimited, (size) => {
    onBuffer?.(size);
    return buffer;
  });
  let captured: Set<Allocation> | null = null;
  const empty = (shape: readonly number[], dtype: DType) =>
    new Tensor(pool.acquire(Math.max(4, byteLength(shape, dtype)), { exact: captured !== null }), shape, dtype);
  const recorder = {
    dispatch(kernel: Kernel, entryPoint: string, { workgroups, buffers }: Dispatch) {
      fold(workgroups, `${kernel.name}.${entryPoint}`);
      for (const { allocation, byteLength: bytes } of Object.values(buffers)) {
        captured?.add(allocation);
        onBinding?.(bytes);
      }
    },
    capture(work: () => void): Recording {
      const used = (captured = new Set());
      work();
      captured = null;
      return new Recording([], pool, used);
    },
    replay() {},
    clear() {},
    copy() {},
    submit() {},
  };
  const gpu = {
    pool,
    limits: { ...unlimited, ...planningLimits(like) },
    maxBindingSize,
    tier: like?.tier ?? "baseline",
    matrices: like?.matrices ?? null,
    info: like?.info ?? { isFallbackAdapter: false },
    timer: null,
    tuning: like?.tuning ?? null,
    recorder: () => recorder,
    empty,
    zeros: empty,
    upload: (_data: unknown, shape: readonly number[], dtype: DType) => empty(shape, dtype),
    write() {},
    release(...tensors: (Tensor | null | undefined)[]) {
      for (const tensor of tensors) if (tensor) pool.release(tensor.allocation);
    },
    readF32: () => Promise.resolve(new Float32Array(0)),
    readAllF32: (tensors: readonly Tensor[]) => Promise.resolve(tensors.map(() => new Float32Array(0))),
    readU32: () => Promise.resolve(new Uint32Array(0)),
  };
  Object.assign(recorder, { gpu });
  return gpu as unknown as Gpu;
}

/** The limits that decide on kernels and on the KV cache; a device's limits are no plain object. */
const planningLimits = (like?: KernelTraits) =>
  like && {
    maxBufferSize: like.limits.maxBufferSize,
    maxStorageBufferBindingSize: like.limits.maxStorageBufferBindingSize,
    maxComputeInvocationsPerWorkgroup: like.limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupStorageSize: like.limits.maxComputeWorkgroupStorageSize,
  };
