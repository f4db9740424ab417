import { packBf16 } from "../core/bf16.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { byteLength, elementCount, Tensor, type Storage } from "../gpu/tensor.ts";
import { OutOfMemoryError } from "../errors.ts";

/** The f32 copy that is stepped where a parameter is bf16 and its state f32, and the first and second moments. */
export type Kind = "master" | "m" | "v";

/** How each of them is stored; without a master what is trained is stepped itself. */
export type StateDTypes = Readonly<{ master?: "f32"; m: Storage; v: Storage }>;

export type StateTensors = Readonly<{ master?: Tensor; m: Tensor; v: Tensor }>;

const kindsOf = (dtypes: StateDTypes) => Object.entries(dtypes) as [Kind, Storage][];

/** Masters and moments of one parameter: the parameter itself and zeros before the first step. */
export interface AdamState {
  readonly dtypes: StateDTypes;
  /** Reads what the next step needs of the device. */
  ready(): Promise<void>;
  /** Records `work`, which changes them. Resolves when they are where they are kept. */
  step(work: (tensors: StateTensors) => void): Promise<void>;
  /** As they lie on the device: what a file takes. */
  bytes(kind: Kind): Promise<Uint8Array>;
  set(kind: Kind, values: Float32Array): void;
  /** What it takes on the device between steps. */
  deviceBytes(kind: Kind): number;
}

/** On the device throughout. */
export class DeviceState implements AdamState {
  readonly dtypes: StateDTypes;
  readonly #gpu: Gpu;
  readonly #tensors: StateTensors;

  private constructor(gpu: Gpu, dtypes: StateDTypes, tensors: StateTensors) {
    this.#gpu = gpu;
    this.dtypes = dtypes;
    this.#tensors = tensors;
  }

  static async create(gpu: Gpu, param: Tensor, dtypes: StateDTypes): Promise<DeviceState> {
    const master = dtypes.master && gpu.upload(await gpu.readF32(param), param.shape, dtypes.master);
    const [m, v] = [gpu.zeros(param.shape, dtypes.m), gpu.zeros(param.shape, dtypes.v)];
    return new DeviceState(gpu, dtypes, { ...(master && { master }), m, v });
  }

  async ready(): Promise<void> {}

  async step(work: (tensors: StateTensors) => void): Promise<void> {
    work(this.#tensors);
  }

  bytes(kind: Kind): Promise<Uint8Array> {
    return this.#gpu.readBytes(this.#tensors[kind]!);
  }

  set(kind: Kind, values: Float32Array): void {
    this.#gpu.write(this.#tensors[kind]!, values);
  }

  deviceBytes(kind: Kind): number {
    return this.#tensors[kind]?.allocation.size ?? 0;
  }
}

/** Room on the device for the state of one parameter at a time, while an optimizer steps. */
export class Staging {
  readonly #gpu: Gpu;
  readonly #largest = new Map<Kind, number>();
  #tensors = new Map<Kind, Tensor>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** Makes `begin` take room for a parameter of this shape. */
  fit(shape: readonly number[], dtypes: StateDTypes): void {
    for (const [kind, dtype] of kindsOf(dtypes))
      this.#largest.set(kind, Math.max(this.#largest.get(kind) ?? 0, byteLength(shape, dtype)));
  }

  /** @throws OutOfMemoryError where there is none, idle memory given back */
  async begin(): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        for (const [kind, bytes] of this.#largest) this.#tensors.set(kind, this.#gpu.empty([bytes / 4], "u32"));
        return await this.#gpu.idle();
      } catch (error) {
        this.end();
        if (tries > 0 || !(error instanceof OutOfMemoryError)) throw error;
        await this.#gpu.trim();
      }
    }
  }

  tensor(kind: Kind, shape: readonly number[], dtype: Storage | "u32"): Tensor {
    return new Tensor(this.#tensors.get(kind)!.allocation, shape, dtype);
  }

  end(): void {
    this.#gpu.release(...this.#tensors.values());
    this.#tensors = new Map();
  }
}

/** In host memory, and on the device for its step alone: uploaded, stepped by the same kernel, read back. */
export class HostState implements AdamState {
  readonly dtypes: StateDTypes;
  readonly #gpu: Gpu;
  readonly #param: Tensor;
  readonly #staging: Staging;
  /** As on the device, in whole words; none before the first step. */
  readonly #words = new Map<Kind, Uint32Array>();
  #initial: Float32Array | null = null;

  constructor(gpu: Gpu, param: Tensor, dtypes: StateDTypes, staging: Staging) {
    this.#gpu = gpu;
    this.#param = param;
    this.dtypes = dtypes;
    this.#staging = staging;
    staging.fit(param.shape, dtypes);
  }

  async ready(): Promise<void> {
    if (this.dtypes.master && !this.#words.has("master")) this.#initial = await this.#gpu.readF32(this.#param);
  }

  async step(work: (tensors: StateTensors) => void): Promise<void> {
    const gpu = this.#gpu;
    const { shape } = this.#param;
    const tensors = Object.fromEntries(
      kindsOf(this.dtypes).map(([kind, dtype]) => [kind, this.#staging.tensor(kind, shape, dtype)]),
    ) as unknown as { [K in Kind]: Tensor };
    for (const [kind, dtype] of kindsOf(this.dtypes)) {
      const words = this.#words.get(kind);
      const asWords = this.#staging.tensor(kind, [byteLength(shape, dtype) / 4], "u32");
      if (words) gpu.write(asWords, words);
      else if (kind === "master") gpu.write(tensors[kind], this.#initial!);
      else gpu.recorder().clear(asWords);
    }
    this.#initial = null;
    work(tensors);
    const reads = kindsOf(this.dtypes).map(async ([kind, dtype]) => {
      const { buffer } = await gpu.readBytes(this.#staging.tensor(kind, [byteLength(shape, dtype) / 4], "u32"));
      this.#words.set(kind, new Uint32Array(buffer));
    });
    await Promise.all(reads);
  }

  async bytes(kind: Kind): Promise<Uint8Array> {
    const size = elementCount(this.#param.shape) * (this.dtypes[kind] === "bf16" ? 2 : 4);
    const words = this.#words.get(kind);
    if (words) return new Uint8Array(words.buffer, 0, size);
    return kind === "master" ? new Uint8Array((await this.#gpu.readF32(this.#param)).buffer) : new Uint8Array(size);
  }

  set(kind: Kind, values: Float32Array): void {
    const words = new Uint32Array(byteLength(this.#param.shape, this.dtypes[kind]!) / 4);
    if (this.dtypes[kind] === "bf16") new Uint16Array(words.buffer).set(packBf16(values));
    else new Float32Array(words.buffer).set(values);
    this.#words.set(kind, words);
  }

  deviceBytes(): number {
    return 0;
  }
}
