import type { Gpu, Scope } from "./gpu.ts";
import type { Kernel } from "./kernel.ts";
import { Pool, type Allocation } from "./pool.ts";
import { fold, type Cost, type Dispatch, type Recorder } from "./recorder.ts";
import { Recording } from "./recording.ts";
import { byteLength, Tensor, type DType } from "./tensor.ts";
import type { KernelTraits } from "./workspace.ts";

/** What hears of buffers made and of bytes that a kernel is given at once. */
export interface Listeners {
  onBuffer?: (bytes: number) => void;
  onBinding?: (bytes: number) => void;
  /** Hears of every dispatch. */
  onDispatch?: (label: string, cost: Cost) => void;
  /** Hears of bytes that go to the device and back, and whether the host waits for them. */
  onTransfer?: (bytes: number, isRead: boolean) => void;
  /** Hears of every dispatch's kernel. */
  onKernel?: (kernel: Kernel, entryPoint: string, dispatch: Dispatch) => void;
}

/**
 * A Gpu without a device: code that runs on it takes and releases the tensors that it would, checks shapes and the sizes of
 * dispatches, and computes nothing. What it reads back is 0. `pool` then tells the memory that the same code needs on an
 * adapter: one of the baseline tier, or one that is `like` another. The pool makes buffers of any size and kernels take what they
 * are given, so that a plan tells what would be needed; `limits` are those of `like`, by which the engine sizes its KV cache.
 */
export function planningGpu({ onBuffer, ...heard }: Listeners = {}, like?: KernelTraits): Gpu {
  const buffer = { destroy() {} } as GPUBuffer;
  const pool = new Pool(UNLIMITED, (size) => {
    onBuffer?.(size);
    return { buffer, verdict: null };
  });
  const traits: KernelTraits = {
    tier: like?.tier ?? "baseline",
    matrices: like?.matrices ?? null,
    info: like?.info ?? ({ isFallbackAdapter: false } as GPUAdapterInfo),
    limits: { ...UNLIMITED, ...planningLimits(like) } as GPUSupportedLimits,
    maxBindingSize: like?.maxBindingSize ?? Infinity,
    tuning: like?.tuning ?? null,
  };
  return new PlanningScope(traits, pool, { captured: null, zeros: new Float32Array(0), ...heard });
}

/** What all jobs on a planning device share besides its pool. */
interface Shared extends Omit<Listeners, "onBuffer"> {
  /** What a recording that is made now has used. */
  captured: Set<Allocation> | null;
  zeros: Float32Array;
}

class PlanningScope implements Scope, Recorder {
  readonly name = "a plan";
  label = "a plan";
  readonly tier;
  readonly matrices;
  readonly info;
  readonly limits;
  readonly maxBindingSize;
  readonly pool: Pool;
  readonly gpu: Gpu = this;
  readonly devices: readonly Gpu[] = [this];
  tuning;
  timer = null;
  readonly #shared: Shared;
  readonly #traits: KernelTraits;

  constructor(traits: KernelTraits, pool: Pool, shared: Shared) {
    ({
      tier: this.tier,
      matrices: this.matrices,
      info: this.info,
      limits: this.limits,
      maxBindingSize: this.maxBindingSize,
      tuning: this.tuning,
    } = traits);
    this.#traits = traits;
    this.pool = pool;
    this.#shared = shared;
  }

  at(): Gpu {
    return this;
  }

  recorder(): Recorder {
    return this;
  }

  dispatch(kernel: Kernel, entryPoint: string, dispatch: Dispatch): void {
    const { workgroups, buffers, cost } = dispatch;
    const label = `${kernel.name}.${entryPoint}`;
    fold(workgroups, label);
    const { captured, onBinding, onDispatch, onKernel } = this.#shared;
    onKernel?.(kernel, entryPoint, dispatch);
    const bytes = () => Object.values(buffers).reduce((sum, tensor) => sum + tensor.byteLength, 0);
    onDispatch?.(label, cost ?? { flops: 0, bytes: bytes() });
    for (const { allocation, byteLength: bytes } of Object.values(buffers)) {
      captured?.add(allocation);
      onBinding?.(bytes);
    }
  }

  capture(work: () => void): Recording {
    const used = (this.#shared.captured = new Set<Allocation>());
    work();
    this.#shared.captured = null;
    return new Recording([], this.pool, this, used);
  }

  replay(): void {}
  clear(): void {}
  copy(): void {}
  submit(): void {}
  write({ byteLength: bytes }: Tensor): void {
    this.#shared.onTransfer?.(bytes, false);
  }

  empty(shape: readonly number[], dtype: DType): Tensor {
    const bytes = Math.max(4, byteLength(shape, dtype));
    return new Tensor(this.pool.acquire(this, bytes, { exact: this.#shared.captured !== null }), shape, dtype);
  }

  zeros(shape: readonly number[], dtype: DType): Tensor {
    return this.empty(shape, dtype);
  }

  upload(_data: unknown, shape: readonly number[], dtype: DType): Tensor {
    const tensor = this.empty(shape, dtype);
    this.write(tensor);
    return tensor;
  }

  release(...tensors: (Tensor | null | undefined)[]): void {
    for (const tensor of tensors) if (tensor) this.pool.release(this, tensor.allocation);
  }

  readF32 = (tensor: Tensor) => Promise.resolve(this.#zeros(this.#read(tensor)));
  readAllF32 = (tensors: readonly Tensor[]) => Promise.all(tensors.map(this.readF32));
  readU32 = (tensor: Tensor) => Promise.resolve(new Uint32Array(this.#read(tensor)));
  readBytes = (tensor: Tensor) => {
    this.#read(tensor);
    return Promise.resolve(new Uint8Array(0));
  };
  idle = () => Promise.resolve();
  throttle = () => Promise.resolve(false);
  trim = () => Promise.resolve();

  /** Its elements. */
  #read({ byteLength: bytes, size }: Tensor): number {
    this.#shared.onTransfer?.(bytes, true);
    return size;
  }

  /** All that is read shares one array: a plan reads gigabytes. */
  #zeros(size: number): Float32Array {
    if (this.#shared.zeros.length < size) this.#shared.zeros = new Float32Array(size);
    return this.#shared.zeros.subarray(0, size);
  }

  scope(): Scope {
    return new PlanningScope(this.#traits, this.pool, this.#shared);
  }

  close(): void {
    this.pool.releaseAll(this);
  }
}

const UNLIMITED = { maxBufferSize: Infinity, maxStorageBufferBindingSize: Infinity };

/** The limits that decide on kernels and on the KV cache; a device's limits are no plain object. */
const planningLimits = (like?: KernelTraits) =>
  like && {
    maxBufferSize: like.limits.maxBufferSize,
    maxStorageBufferBindingSize: like.limits.maxStorageBufferBindingSize,
    maxComputeInvocationsPerWorkgroup: like.limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupStorageSize: like.limits.maxComputeWorkgroupStorageSize,
  };
