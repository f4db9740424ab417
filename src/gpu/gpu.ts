import {
  DeviceLostError,
  GpuUnavailableError,
  KernelCompileError,
  OutOfMemoryError,
  PithError,
  ShapeError,
} from "../errors.ts";
import { packBf16, unpackBf16 } from "./bf16.ts";
import { compileErrors, compileModule, createPipeline, type Kernel, type Module, type Pipeline } from "./kernel.ts";
import { Pool } from "./pool.ts";
import { Recorder } from "./recorder.ts";
import { byteLength, Tensor, type DType, type Storage } from "./tensor.ts";
import { chooseMatrices, chooseTier, MATRIX_FEATURE, type Matrices, type Tier } from "./tier.ts";
import { Timer } from "./timer.ts";
import type { Tuning } from "./tuning.ts";

/** Features that some tier or measurement uses where the adapter has them. */
const WANTED_FEATURES = ["timestamp-query", "subgroups", "shader-f16", MATRIX_FEATURE] as GPUFeatureName[];

/** How long an error waits for the news that the device is lost. */
const LOSS_DELAY_MS = 100;

/** Passes a promise on that the device will settle; a host whose waiting costs something can see to it meanwhile. */
export type Rest = <T>(work: Promise<T>) => Promise<T>;

/**
 * A device with its pool of buffers, its compiled kernels and the one recorder through which all work goes.
 * Errors of the device are asynchronous: the first is kept and thrown by the next call that waits or submits.
 */
export class Gpu {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  readonly tier: Tier;
  /** Bytes of a buffer that a kernel can be given at once. Larger tensors go to kernels by `windows` (kernels/windows.ts). */
  readonly maxBindingSize: number;
  /** The subgroup matrices that kernels of the tier "matrices" use; null in other tiers. */
  readonly matrices: Matrices | null;
  readonly pool: Pool;
  /** While set, every dispatch is timed. */
  timer: Timer | null = null;
  /** Tiles that were measured on this adapter, of which kernels make their choice; null without. */
  tuning: Tuning | null = null;

  readonly #recorder: Recorder;
  readonly #rest: Rest;
  readonly #modules = new Map<Kernel, Map<Storage, Module>>();
  readonly #pipelines = new Map<Module, Map<string, Pipeline>>();
  readonly #compiling = new Set<Promise<void>>();
  readonly #failed: Promise<never>;
  /** Ends the waits under way when the device is lost. */
  readonly #waits = new Set<(error: unknown) => void>();
  #error: PithError | null = null;
  #disposed = false;

  private constructor(
    device: GPUDevice,
    info: GPUAdapterInfo,
    { tier, matrices, rest }: { tier: Tier; matrices: Matrices | null; rest: Rest },
  ) {
    this.device = device;
    this.info = info;
    this.tier = tier;
    this.matrices = matrices;
    this.#rest = rest;
    this.pool = new Pool(device.limits, (size) =>
      device.createBuffer({
        size,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      }),
    );
    this.maxBindingSize = device.limits.maxStorageBufferBindingSize;
    this.#recorder = new Recorder(this);
    this.#failed = device.lost.then(({ reason, message }) => {
      if (this.#disposed) return new Promise<never>(() => {});
      this.#fail(
        new DeviceLostError(
          `the GPU device was lost (${reason}): ${message}; run again to resume from the last checkpoint`,
        ),
      );
      throw this.#error!;
    });
    this.#failed.catch((error) => {
      for (const end of this.#waits) end(error);
    });
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault(); // it is thrown below, not printed
      const { error } = event;
      const outOfMemory = typeof GPUOutOfMemoryError !== "undefined" && error instanceof GPUOutOfMemoryError;
      this.#fail(
        outOfMemory
          ? new OutOfMemoryError(
              `the GPU is out of memory (${this.pool.allocatedBytes} bytes in buffers): ${error.message}; use fewer tokens per micro-batch or a smaller KV cache`,
            )
          : new PithError(`the GPU refused a command: ${error.message}`),
      );
    });
  }

  /**
   * Opens a device on `adapter` with every limit that it offers, and the best kernels that it can run or those of `tier`.
   * `rest` is what the host does while it waits for the device.
   */
  static async open(
    adapter: GPUAdapter | null,
    { tier, rest = (work) => work }: { tier?: string | undefined; rest?: Rest } = {},
  ): Promise<Gpu> {
    if (!adapter) {
      throw new GpuUnavailableError(
        "expected a WebGPU adapter, got none; install a GPU driver or Mesa's lavapipe, and see `pith doctor`",
      );
    }
    const chosen = chooseTier(adapter, tier);
    const requiredLimits: Record<string, number> = {};
    for (const name in adapter.limits) {
      const value = adapter.limits[name as keyof GPUSupportedLimits];
      if (typeof value === "number") requiredLimits[name] = value;
    }
    const requiredFeatures = WANTED_FEATURES.filter((feature) => adapter.features.has(feature));
    const device = await adapter.requestDevice({ requiredLimits, requiredFeatures });
    const matrices = chosen === "matrices" ? chooseMatrices(adapter) : null;
    return new Gpu(device, adapter.info, { tier: chosen, matrices, rest });
  }

  /** The adapter's name for people. */
  get name(): string {
    return this.info.description || this.info.device || this.info.vendor || "unknown adapter";
  }

  get features(): ReadonlySet<string> {
    return this.device.features as ReadonlySet<string>;
  }

  get limits(): GPUSupportedLimits {
    return this.device.limits;
  }

  recorder(): Recorder {
    return this.#recorder;
  }

  /** A tensor of undefined content. */
  empty(shape: readonly number[], dtype: DType): Tensor {
    const bytes = Math.max(4, byteLength(shape, dtype));
    if (this.pool.hoards(bytes) && !this.#recorder.isCapturing) {
      this.#recorder.submit();
      this.pool.trim();
    }
    return new Tensor(this.pool.acquire(bytes, { exact: this.#recorder.isCapturing }), shape, dtype);
  }

  zeros(shape: readonly number[], dtype: DType): Tensor {
    const tensor = this.empty(shape, dtype);
    this.#recorder.clear(tensor);
    return tensor;
  }

  /** Float data under dtype "bf16" is rounded to nearest even. */
  upload(data: Float32Array | Uint32Array | Int32Array, shape: readonly number[], dtype: DType): Tensor {
    const tensor = this.empty(shape, dtype);
    this.write(tensor, data);
    return tensor;
  }

  /** Overwrites a tensor with data from the host, after everything recorded so far. */
  write(tensor: Tensor, data: Float32Array | Uint32Array | Int32Array): void {
    if (data.length !== tensor.size) {
      throw new ShapeError(`write: expected ${tensor.size} elements for [${tensor.shape}], got ${data.length}`);
    }
    if (this.#recorder.isCapturing) throw new Error("expected dispatches in a recording, got a write");
    // A queue write runs before commands that are recorded but not yet sent, which may still use this buffer.
    this.#recorder.submit();
    let bytes: Uint32Array | Int32Array | Float32Array | Uint16Array = data;
    if (tensor.dtype === "bf16") {
      const packed = packBf16(data as Float32Array);
      bytes = new Uint16Array(Math.ceil(packed.length / 2) * 2);
      bytes.set(packed);
    }
    if (bytes.byteLength > 0)
      this.device.queue.writeBuffer(tensor.buffer, tensor.offset, bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  async readF32(tensor: Tensor): Promise<Float32Array> {
    const [values] = await this.readAllF32([tensor]);
    return values!;
  }

  /** The contents of f32 and bf16 tensors, with one copy and one wait for all of them. */
  async readAllF32(tensors: readonly Tensor[]): Promise<Float32Array[]> {
    for (const { dtype } of tensors)
      if (dtype !== "f32" && dtype !== "bf16") throw new ShapeError(`readF32: expected f32 or bf16, got ${dtype}`);
    const contents = await this.#readBytes(tensors);
    return tensors.map(({ dtype, size }, i) =>
      dtype === "f32" ? new Float32Array(contents[i]!) : unpackBf16(new Uint16Array(contents[i]!, 0, size)),
    );
  }

  async readU32(tensor: Tensor): Promise<Uint32Array> {
    const [bytes] = await this.#readBytes([tensor]);
    return new Uint32Array(bytes!);
  }

  /** The tensor's bytes as they lie on the device (bf16: two bytes an element). */
  async readBytes(tensor: Tensor): Promise<Uint8Array> {
    const [content] = await this.#readBytes([tensor]);
    const bytes = new Uint8Array(content!);
    return tensor.dtype === "bf16" ? bytes.subarray(0, 2 * tensor.size) : bytes;
  }

  async #readBytes(tensors: readonly Tensor[]): Promise<ArrayBuffer[]> {
    const size = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (size === 0) return tensors.map(() => new ArrayBuffer(0));
    this.#recorder.submit();
    const staging = this.device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    try {
      const encoder = this.device.createCommandEncoder();
      let place = 0;
      for (const { buffer, offset, byteLength } of tensors) {
        encoder.copyBufferToBuffer(buffer, offset, staging, place, byteLength);
        place += byteLength;
      }
      this.device.queue.submit([encoder.finish()]);
      await this.#wait(staging.mapAsync(GPUMapMode.READ));
      const mapped = staging.getMappedRange();
      place = 0;
      return tensors.map(({ byteLength }) => mapped.slice(place, (place += byteLength)));
    } finally {
      staging.destroy();
    }
  }

  /** Sends what is recorded and resolves when the device has done it. */
  async idle(): Promise<void> {
    this.#recorder.submit();
    await this.#wait(this.device.queue.onSubmittedWorkDone());
  }

  release(...tensors: (Tensor | null | undefined)[]): void {
    for (const tensor of tensors) if (tensor) this.pool.release(tensor.allocation);
  }

  dispose(): void {
    this.#disposed = true;
    this.device.destroy();
  }

  /** The pipeline of an entry point, compiled at its first use. */
  pipeline(kernel: Kernel, storage: Storage, entryPoint: string, constants: Record<string, number>): Pipeline {
    let modules = this.#modules.get(kernel);
    if (!modules) this.#modules.set(kernel, (modules = new Map()));
    let module = modules.get(storage);
    if (!module) {
      this.device.pushErrorScope("validation");
      module = compileModule(this.device, kernel, storage);
      void this.device.popErrorScope(); // its errors are reported with their lines below
      modules.set(storage, module);
      this.#pipelines.set(module, new Map());
      this.#checkCompilation(kernel, storage, module.module);
    }
    const pipelines = this.#pipelines.get(module)!;
    const names = Object.keys(constants);
    const key =
      names.length === 0 ? entryPoint : entryPoint + names.map((name) => `,${name}=${constants[name]}`).join("");
    let pipeline = pipelines.get(key);
    if (!pipeline) pipelines.set(key, (pipeline = createPipeline(this.device, kernel, module, entryPoint, constants)));
    return pipeline;
  }

  #checkCompilation(kernel: Kernel, storage: Storage, module: GPUShaderModule): void {
    const check = compileErrors(kernel, storage, module).then((errors) => {
      this.#compiling.delete(check);
      // A bad module makes everything after it fail too: its own message is the one that helps.
      if (errors.length > 0)
        this.#error = new KernelCompileError(`kernel ${kernel.name} (${storage}): ${errors.join("; ")}`);
    });
    this.#compiling.add(check);
  }

  #fail(error: PithError): void {
    this.#error ??= error;
  }

  async #wait<T>(work: Promise<T>): Promise<T> {
    let result: T;
    // A race against #failed itself would be remembered by it, with its result, for as long as the device lives.
    const { promise: lost, reject: end } = Promise.withResolvers<never>();
    this.#waits.add(end);
    if (this.#error instanceof DeviceLostError) end(this.#error);
    try {
      result = await this.#rest(Promise.race([work, lost]));
    } catch (error) {
      await Promise.all(this.#compiling);
      // Hosts differ in what comes first, the failure of the work or the loss of the device that explains it.
      await Promise.race([this.#failed, new Promise((resolve) => setTimeout(resolve, LOSS_DELAY_MS))]);
      throw this.#error ?? error;
    } finally {
      this.#waits.delete(end);
    }
    await Promise.all(this.#compiling);
    if (this.#error) {
      const error = this.#error;
      // A lost device stays lost; any other error is reported once.
      if (!(error instanceof DeviceLostError)) this.#error = null;
      throw error;
    }
    return result;
  }
}
