import { ShapeError } from "../errors.ts";
import { packBf16, unpackBf16 } from "../core/bf16.ts";
import { Device, type OpenOptions } from "./device.ts";
import { Failures, judged } from "./failures.ts";
import type { Gpu, Scope } from "./gpu.ts";
import type { Kernel, Pipeline } from "./kernel.ts";
import type { Pool } from "./pool.ts";
import type { Recorder } from "./recorder.ts";
import { StreamRecorder, type RecorderHost } from "./stream-recorder.ts";
import { byteLength, Tensor, type DType, type Storage } from "./tensor.ts";
import type { Matrices, Tier } from "./tier.ts";
import type { Timer } from "./timer.ts";
import type { Tuning } from "./tuning.ts";

/** A job on a device. */
class DeviceScope implements Scope, RecorderHost {
  readonly failures: Failures;
  readonly devices: readonly Gpu[] = [this];
  protected readonly shared: Device;
  readonly #recorder: StreamRecorder;
  #closed = false;

  constructor(shared: Device, failures = new Failures()) {
    this.shared = shared;
    this.failures = failures;
    this.#recorder = new StreamRecorder(this, shared.stream);
  }

  get tier(): Tier {
    return this.shared.tier;
  }
  get matrices(): Matrices | null {
    return this.shared.matrices;
  }
  get info(): GPUAdapterInfo {
    return this.shared.info;
  }
  get limits(): GPUSupportedLimits {
    return this.shared.limits;
  }
  get maxBindingSize(): number {
    return this.shared.maxBindingSize;
  }
  get name(): string {
    return this.info.description || this.info.device || this.info.vendor || "unknown adapter";
  }
  get label(): string {
    return this.shared.label;
  }
  set label(label: string) {
    this.shared.label = label;
  }
  get pool(): Pool {
    return this.shared.pool;
  }
  get tuning(): Tuning | null {
    return this.shared.tuning;
  }
  set tuning(tuning: Tuning | null) {
    this.shared.tuning = tuning;
  }
  get timer(): Timer | null {
    return this.shared.stream.timer;
  }
  set timer(timer: Timer | null) {
    this.shared.stream.timer = timer;
  }

  at(): Gpu {
    return this;
  }

  recorder(): Recorder {
    return this.#recorder;
  }

  empty(shape: readonly number[], dtype: DType): Tensor {
    if (this.#closed) throw new Error("expected an open scope, got one whose job has ended");
    const { pool, stream } = this.shared;
    const bytes = Math.max(4, byteLength(shape, dtype));
    if (!stream.isCapturing && pool.hoards(this, bytes)) {
      stream.submit();
      pool.trim();
    }
    const allocation = pool.acquire(this, bytes, { exact: stream.isCapturing });
    if (allocation.verdict) this.failures.watch(allocation.verdict);
    return new Tensor(allocation, shape, dtype);
  }

  zeros(shape: readonly number[], dtype: DType): Tensor {
    const tensor = this.empty(shape, dtype);
    this.#recorder.clear(tensor);
    return tensor;
  }

  upload(data: Float32Array | Uint32Array | Int32Array, shape: readonly number[], dtype: DType): Tensor {
    const tensor = this.empty(shape, dtype);
    this.write(tensor, data);
    return tensor;
  }

  write(tensor: Tensor, data: Float32Array | Uint32Array | Int32Array | Uint16Array): void {
    if (data.length !== tensor.size) {
      throw new ShapeError(`write: expected ${tensor.size} elements for [${tensor.shape}], got ${data.length}`);
    }
    const { device, stream } = this.shared;
    if (stream.isCapturing) throw new Error("expected dispatches in a recording, got a write");
    // A queue write runs before commands that are recorded but not yet sent, which may still use this buffer.
    stream.submit();
    const bytes = tensor.dtype === "bf16" ? wholeWords(data) : data instanceof Uint16Array ? unpackBf16(data) : data;
    if (bytes.byteLength === 0) return;
    const { buffer, offset } = tensor;
    const [, verdict] = judged(device, () =>
      device.queue.writeBuffer(buffer, offset, bytes.buffer, bytes.byteOffset, bytes.byteLength),
    );
    this.failures.watch(verdict);
  }

  async readF32(tensor: Tensor): Promise<Float32Array> {
    const [values] = await this.readAllF32([tensor]);
    return values!;
  }

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

  async readBytes(tensor: Tensor): Promise<Uint8Array> {
    const [content] = await this.#readBytes([tensor]);
    const bytes = new Uint8Array(content!);
    return tensor.dtype === "bf16" ? bytes.subarray(0, 2 * tensor.size) : bytes;
  }

  async #readBytes(tensors: readonly Tensor[]): Promise<ArrayBuffer[]> {
    const size = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (size === 0) return tensors.map(() => new ArrayBuffer(0));
    const { device, stream } = this.shared;
    stream.submit();
    const [[staging, ready], verdict] = judged(device, () => {
      const buffer = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
      const encoder = device.createCommandEncoder();
      let place = 0;
      for (const { buffer: source, offset, byteLength } of tensors) {
        encoder.copyBufferToBuffer(source, offset, buffer, place, byteLength);
        place += byteLength;
      }
      device.queue.submit([encoder.finish()]);
      return [buffer, buffer.mapAsync(GPUMapMode.READ)] as const;
    });
    this.failures.watch(verdict);
    try {
      await this.#wait(ready);
      const mapped = staging.getMappedRange();
      let place = 0;
      return tensors.map(({ byteLength }) => mapped.slice(place, (place += byteLength)));
    } finally {
      staging.destroy();
    }
  }

  async idle(): Promise<void> {
    this.shared.stream.submit();
    await this.#wait(this.shared.device.queue.onSubmittedWorkDone());
  }

  async throttle(): Promise<boolean> {
    const { isBusy } = this.shared.stream.pace;
    if (isBusy) await this.idle();
    return isBusy;
  }

  async trim(): Promise<void> {
    const { device, pool, stream } = this.shared;
    stream.submit();
    await this.shared.wait(new Failures(), device.queue.onSubmittedWorkDone());
    pool.trim();
  }

  release(...tensors: (Tensor | null | undefined)[]): void {
    for (const tensor of tensors) if (tensor) this.pool.release(this, tensor.allocation);
  }

  scope(): Scope {
    return new DeviceScope(this.shared);
  }

  close(): void {
    this.#closed = true;
    this.pool.releaseAll(this);
  }

  pipeline(kernel: Kernel, storage: Storage, entryPoint: string, constants: Record<string, number>): Pipeline {
    return this.shared.pipeline(this.failures, kernel, storage, entryPoint, constants);
  }

  #wait<T>(work: Promise<T>): Promise<T> {
    return this.shared.wait(this.failures, work);
  }
}

/** The bits of bf16, with a zero more where they do not fill whole 32-bit words. */
function wholeWords(data: Float32Array | Uint32Array | Int32Array | Uint16Array): Uint16Array {
  const bits = data instanceof Uint16Array ? data : packBf16(data as Float32Array);
  if (bits.length % 2 === 0) return bits;
  const padded = new Uint16Array(bits.length + 1);
  padded.set(bits);
  return padded;
}

/** A device of one's own, and what its adapter is. Its own job is whatever belongs to no scope. */
export class DeviceGpu extends DeviceScope implements Gpu {
  /** Opens a device on `adapter` with every limit that it offers, and the best kernels that it can run or those of a tier. */
  static async open(adapter: GPUAdapter | null, options: OpenOptions = {}): Promise<DeviceGpu> {
    return new DeviceGpu(await Device.open(adapter, options));
  }

  private constructor(shared: Device) {
    super(shared, shared.failures);
  }

  get device(): GPUDevice {
    return this.shared.device;
  }

  get features(): ReadonlySet<string> {
    return this.device.features as ReadonlySet<string>;
  }

  dispose(): void {
    this.shared.dispose();
  }
}
