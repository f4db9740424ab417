import { DeviceLostError, GpuUnavailableError, KernelCompileError } from "../errors.ts";
import { Failures, judged, refusal, type Verdict } from "./failures.ts";
import { compileErrors, compileModule, createPipeline, type Kernel, type Module, type Pipeline } from "./kernel.ts";
import { Pool } from "./pool.ts";
import { CommandStream } from "./stream.ts";
import { fixedSubgroupSize, infoWithSize, SUBGROUP_SIZE_FEATURE } from "./subgroup-size.ts";
import type { Storage } from "./tensor.ts";
import { chooseMatrices, chooseTier, MATRIX_FEATURE, type Matrices, type Tier } from "./tier.ts";
import type { Tuning } from "./tuning.ts";

/** Features that some tier or measurement uses where the adapter has them. */
const WANTED_FEATURES = [
  "timestamp-query",
  "subgroups",
  "shader-f16",
  MATRIX_FEATURE,
  SUBGROUP_SIZE_FEATURE,
] as GPUFeatureName[];

/** How long an error waits for the news that the device is lost. */
const LOSS_DELAY_MS = 100;

/** Passes a promise on that the device will settle; a host whose waiting costs something can see to it meanwhile. */
export type Rest = <T>(work: Promise<T>) => Promise<T>;

export interface OpenOptions {
  /** Kernels of this tier instead of the best that the adapter can run. */
  tier?: string | undefined;
  /** What the host does while it waits for the device. */
  rest?: Rest;
}

/** A kernel's module, and what its compiler says of it; null from when it has nothing to say. */
interface Compiled {
  module: Module;
  verdict: Verdict | null;
  pipelines: Map<string, Pipeline>;
}

/** What all jobs on a device share: its buffers, its compiled kernels, the stream of commands through which all work goes. */
export class Device {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  readonly tier: Tier;
  readonly matrices: Matrices | null;
  readonly limits: GPUSupportedLimits;
  readonly maxBindingSize: number;
  readonly pool: Pool;
  readonly stream: CommandStream;
  tuning: Tuning | null = null;
  label = "the GPU device";
  /** Errors that belong to no call. */
  readonly failures = new Failures();
  readonly #rest: Rest;
  readonly #compiled = new Map<Kernel, Map<Storage, Compiled>>();
  readonly #lost: Promise<void>;
  #loss: DeviceLostError | null = null;
  /** Ends the waits under way when the device is lost. */
  readonly #waits = new Set<(loss: DeviceLostError) => void>();
  #disposed = false;

  private constructor(device: GPUDevice, adapter: GPUAdapter, tier: Tier, rest: Rest) {
    this.device = device;
    this.info = infoWithSize(adapter.info, fixedSubgroupSize(adapter));
    this.tier = tier;
    this.matrices = tier === "matrices" ? chooseMatrices(adapter) : null;
    this.limits = device.limits;
    this.maxBindingSize = device.limits.maxStorageBufferBindingSize;
    this.#rest = rest;
    this.stream = new CommandStream(device);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.pool = new Pool(device.limits, (size) => {
      const [buffer, verdict] = judged(device, () => device.createBuffer({ size, usage }));
      return { buffer, verdict };
    });
    this.#lost = device.lost.then(({ reason, message }) => {
      if (this.#disposed) return;
      const loss = new DeviceLostError(
        `${this.label} was lost (${reason}): ${message}; run again to resume from the last checkpoint`,
      );
      this.#loss = loss;
      for (const end of this.#waits) end(loss);
    });
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault(); // whoever waits for it throws it
      this.failures.add(refusal(event.error.message));
    });
  }

  /** Opens a device on `adapter` with every limit that it offers. */
  static async open(adapter: GPUAdapter | null, { tier, rest = (work) => work }: OpenOptions): Promise<Device> {
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
    return new Device(device, adapter, chosen, rest);
  }

  /** What `work` on the device resolves with, for the job whose `failures` these are. */
  async wait<T>(failures: Failures, work: Promise<T>): Promise<T> {
    const result = await this.#whileThere(work).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    // Hosts differ in what comes first, the failure of the work or the loss of the device that explains it.
    if ("error" in result && !this.#loss)
      await Promise.race([this.#lost, new Promise((resolve) => setTimeout(resolve, LOSS_DELAY_MS))]);
    const failure = this.#loss ?? (await this.#whileThere(failures.take()));
    if (failure) throw failure;
    if ("error" in result) throw result.error;
    return result.value;
  }

  /** The pipeline of an entry point, compiled at its first use. Whoever uses a kernel that does not compile hears of it. */
  pipeline(
    failures: Failures,
    kernel: Kernel,
    storage: Storage,
    entryPoint: string,
    constants: Record<string, number>,
  ): Pipeline {
    let storages = this.#compiled.get(kernel);
    if (!storages) this.#compiled.set(kernel, (storages = new Map()));
    let compiled = storages.get(storage);
    if (!compiled) storages.set(storage, (compiled = this.#compile(kernel, storage)));
    if (compiled.verdict) failures.watch(compiled.verdict);

    const names = Object.keys(constants);
    const key =
      names.length === 0 ? entryPoint : entryPoint + names.map((name) => `,${name}=${constants[name]}`).join("");
    const known = compiled.pipelines.get(key);
    if (known) return known;
    const { module } = compiled;
    const [pipeline, verdict] = judged(this.device, () =>
      createPipeline(this.device, kernel, module, entryPoint, constants),
    );
    failures.watch(verdict);
    compiled.pipelines.set(key, pipeline);
    return pipeline;
  }

  dispose(): void {
    this.#disposed = true;
    this.device.destroy();
  }

  #compile(kernel: Kernel, storage: Storage): Compiled {
    const size = fixedSubgroupSize({ features: this.device.features, info: this.info });
    const [module, refused] = judged(this.device, () => compileModule(this.device, kernel, storage, size));
    const verdict = compileErrors(kernel, storage, module.module).then(
      (errors) =>
        errors.length > 0
          ? new KernelCompileError(`kernel ${kernel.name} (${storage}): ${errors.join("; ")}`)
          : refused,
      () => null, // the device is lost
    );
    const compiled: Compiled = { module, verdict, pipelines: new Map() };
    void verdict.then((error) => {
      if (!error) compiled.verdict = null;
    });
    return compiled;
  }

  /** `work`, or the loss of the device where that comes first. */
  async #whileThere<T>(work: Promise<T>): Promise<T> {
    // A race against the loss itself would be remembered by it, with its result, for as long as the device lives.
    const { promise: lost, reject: end } = Promise.withResolvers<never>();
    this.#waits.add(end);
    if (this.#loss) end(this.#loss);
    try {
      return await this.#rest(Promise.race([work, lost]));
    } finally {
      this.#waits.delete(end);
    }
  }
}
