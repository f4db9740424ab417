import { ConfigError } from "../errors.ts";
import type { Gpu, Scope } from "./gpu.ts";
import type { Recorder } from "./recorder.ts";
import type { DType, Tensor } from "./tensor.ts";
import type { Timer } from "./timer.ts";
import type { Tuning } from "./tuning.ts";

/**
 * Several devices as one job sees them, with layers[i] of a model's layers on devices[i]. What is made or recorded here is on the
 * last; a tensor is read, written and released wherever it lies.
 *
 * @throws ConfigError where the devices are not alike, for then their bits are not
 */
export function splitGpu(devices: readonly Gpu[], layers: readonly number[]): Gpu {
  const [one] = devices;
  const other = devices.find(({ name, tier }) => name !== one?.name || tier !== one.tier);
  if (other)
    throw new ConfigError(
      `device.layers: expected devices of one kind, got ${one!.name} (${one!.tier}) and ${other.name} (${other.tier})`,
    );
  let first = 0;
  devices.forEach((device, i) => {
    const last = first + layers[i]! - 1;
    device.label = `GPU device ${i + 1} of ${devices.length}, with layers ${first} to ${last},`;
    first = last + 1;
  });
  return new SplitScope(
    devices.map((device) => device.scope()),
    layers,
  );
}

/** `x` f32, which lies on `from`, on `to`: itself where the two are one, otherwise through the host. */
export async function handOver(x: Tensor, from: Gpu, to: Gpu): Promise<Tensor> {
  if (from === to) return x;
  const values = await from.readF32(x);
  from.release(x);
  return to.upload(values, x.shape, "f32");
}

class SplitScope implements Scope {
  readonly devices: readonly Scope[];
  readonly #layers: readonly number[];
  readonly #last: Scope;

  constructor(devices: readonly Scope[], layers: readonly number[]) {
    this.devices = devices;
    this.#layers = layers;
    this.#last = devices.at(-1)!;
  }

  get name() {
    return `${this.devices.length} x ${this.#last.name}`;
  }
  get label() {
    return this.#last.label;
  }
  get tier() {
    return this.#last.tier;
  }
  get matrices() {
    return this.#last.matrices;
  }
  get info() {
    return this.#last.info;
  }
  get limits() {
    return this.#last.limits;
  }
  get maxBindingSize() {
    return this.#last.maxBindingSize;
  }
  get pool() {
    return this.#last.pool;
  }
  get tuning(): Tuning | null {
    return this.#last.tuning;
  }
  set tuning(tuning: Tuning | null) {
    for (const device of this.devices) device.tuning = tuning;
  }
  get timer(): Timer | null {
    return this.#last.timer;
  }
  set timer(timer: Timer | null) {
    for (const device of this.devices) device.timer = timer;
  }

  at(layer: number): Gpu {
    let end = 0;
    const index = this.#layers.findIndex((count) => layer < (end += count));
    return this.devices.at(index)!;
  }

  recorder(): Recorder {
    return this.#last.recorder();
  }
  empty(shape: readonly number[], dtype: DType): Tensor {
    return this.#last.empty(shape, dtype);
  }
  zeros(shape: readonly number[], dtype: DType): Tensor {
    return this.#last.zeros(shape, dtype);
  }
  upload(data: Float32Array | Uint32Array | Int32Array, shape: readonly number[], dtype: DType): Tensor {
    return this.#last.upload(data, shape, dtype);
  }

  write(tensor: Tensor, data: Float32Array | Uint32Array | Int32Array | Uint16Array): void {
    this.#of(tensor).write(tensor, data);
  }
  release(...tensors: (Tensor | null | undefined)[]): void {
    for (const tensor of tensors) if (tensor) this.#of(tensor).release(tensor);
  }
  readF32(tensor: Tensor): Promise<Float32Array> {
    return this.#of(tensor).readF32(tensor);
  }
  readU32(tensor: Tensor): Promise<Uint32Array> {
    return this.#of(tensor).readU32(tensor);
  }
  readBytes(tensor: Tensor): Promise<Uint8Array> {
    return this.#of(tensor).readBytes(tensor);
  }

  /** Waits for all devices: what went wrong on one that nothing is read of is heard too. */
  async readAllF32(tensors: readonly Tensor[]): Promise<Float32Array[]> {
    await this.idle();
    return Promise.all(tensors.map((tensor) => this.readF32(tensor)));
  }
  async idle(): Promise<void> {
    await Promise.all(this.devices.map((device) => device.idle()));
  }
  async throttle(): Promise<boolean> {
    const waited = await Promise.all(this.devices.map((device) => device.throttle()));
    return waited.includes(true);
  }
  async trim(): Promise<void> {
    await Promise.all(this.devices.map((device) => device.trim()));
  }

  scope(): Scope {
    return new SplitScope(
      this.devices.map((device) => device.scope()),
      this.#layers,
    );
  }
  close(): void {
    for (const device of this.devices) device.close();
  }

  #of({ allocation }: Tensor): Scope {
    const device = this.devices.find(({ pool }) => pool.has(allocation));
    if (!device) throw new Error("expected a tensor of one of these devices");
    return device;
  }
}
