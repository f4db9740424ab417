import { FormatError, PithError } from "../errors.ts";
import type { Gpu, Scope } from "../gpu/gpu.ts";
import { byteLength, type Storage, type Tensor } from "../gpu/tensor.ts";
import { openSafetensors, writeSafetensors, type TensorSource } from "../hf/safetensors.ts";
import { adamwStep } from "../kernels/adamw.ts";
import { deviceOf, HF_DTYPE, type Model } from "../model/model.ts";
import type { Files } from "../runtime/types.ts";
import { DeviceState, HostState, Staging, type AdamState, type Kind } from "./adam-state.ts";
import { GradientNorm } from "./gradient-norm.ts";
import type { Gradients } from "./policy.ts";
import { readRecorded, type Recorded } from "./recorded.ts";

export interface AdamWOptions {
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** The gradient's global norm is clipped to this. */
  maxGradNorm: number;
  /** Keeps the state in bf16, rounded stochastically with random bits of this seed, instead of in f32. */
  stochasticRounding?: { seed: number };
  /** Keeps masters and moments in host memory between steps. The bits are the same. */
  offload?: boolean;
}

interface State {
  /** Which of the job's devices has them. */
  device: number;
  param: Tensor;
  state: AdamState;
}

/** What an optimizer step needs on the devices besides: from its first micro-batch until its parameters are stepped. */
interface Work {
  gradients: ReadonlyMap<string, Tensor>;
  norm: GradientNorm;
}

/**
 * AdamW over a model's trainable parameters (Loshchilov & Hutter 2019), with f32 moments and for bf16 parameters f32 masters; or,
 * with stochastic rounding, with bf16 moments and no masters: bf16 parameters are stepped themselves (10 bytes a parameter with
 * its gradient instead of 18).
 */
export class AdamW {
  readonly model: Model;
  readonly #gpu: Scope;
  readonly #options: AdamWOptions;
  readonly #states: ReadonlyMap<string, State>;
  #work: Work | null = null;
  /** One a device; none where masters and moments stay there. */
  readonly #stagings: readonly Staging[];
  /** Steps done. */
  step = 0;

  private constructor(
    model: Model,
    gpu: Scope,
    options: AdamWOptions,
    states: ReadonlyMap<string, State>,
    stagings: readonly Staging[],
  ) {
    this.model = model;
    this.#gpu = gpu;
    this.#options = options;
    this.#states = states;
    this.#stagings = stagings;
  }

  /** @throws OutOfMemoryError */
  static async create(model: Model, options: AdamWOptions): Promise<AdamW> {
    const gpu = model.gpu.scope();
    try {
      const states = new Map<string, State>();
      const stagings = options.offload ? gpu.devices.map((device) => new Staging(device)) : [];
      const moments = options.stochasticRounding ? "bf16" : "f32";
      for (const [name, param] of model.trainable) {
        const hasMaster = param.dtype === "bf16" && !options.stochasticRounding;
        const dtypes = { ...(hasMaster && { master: "f32" as const }), m: moments, v: moments } as const;
        const here = deviceOf(gpu, model.config, name);
        const device = gpu.devices.indexOf(here);
        const staging = stagings[device];
        const state = staging
          ? new HostState(here, param, dtypes, staging)
          : await DeviceState.create(here, param, dtypes);
        states.set(name, { device, param, state });
      }
      const optimizer = new AdamW(model, gpu, options, states, stagings);
      await gpu.idle();
      return optimizer;
    } catch (error) {
      gpu.close();
      throw error;
    }
  }

  /**
   * Takes room for the gradients of a step, zeros at first. Until it is taken, and from the step on, they take none.
   *
   * @throws OutOfMemoryError
   */
  async begin(): Promise<void> {
    try {
      this.#begun();
      await this.#gpu.idle();
    } catch (error) {
      this.dropGradients();
      throw error;
    }
  }

  get gradients(): Gradients {
    return this.#begun().gradients;
  }

  #begun(): Work {
    if (this.#work) return this.#work;
    const gradients = new Map<string, Tensor>();
    const sizes = Array.from(this.#states.values(), ({ param }) => param.size);
    this.#work = { gradients, norm: new GradientNorm(this.#gpu, sizes) };
    for (const [name, { device, param }] of this.#states)
      gradients.set(name, this.#gpu.devices[device]!.zeros(param.shape, "f32"));
    return this.#work;
  }

  /** Steps every parameter by its gradient, drops the gradients, and returns their norm before clipping. */
  async update(learningRate: number): Promise<number> {
    const norm = await readRecorded(this.#gpu, await this.recordNorm(this.#gpu));
    await this.apply(norm, learningRate);
    return norm;
  }

  /** The norm over all gradients as they are, which `apply` clips by. */
  recordNorm(gpu: Gpu): Promise<Recorded<number>> {
    const { gradients, norm } = this.#begun();
    const placed = Array.from(gradients, ([name, grad]) => ({ grad, device: this.#states.get(name)!.device }));
    return norm.record(gpu, placed, this.#options.maxGradNorm);
  }

  /**
   * Steps every parameter by its gradient, clipped by the `norm` that was recorded, and drops the gradients. Resolves when
   * the device has done it.
   *
   * @throws PithError, and changes nothing, where the norm is not finite; OutOfMemoryError likewise, where there is none for the
   * state of one parameter at a time
   */
  async apply(norm: number, learningRate: number): Promise<void> {
    if (!Number.isFinite(norm)) {
      throw new PithError(
        `expected a finite gradient, got norm ${norm} at optimizer step ${this.step + 1}; lower the learning rate and resume from the last checkpoint`,
      );
    }
    if (!this.#work) await this.begin();
    try {
      for (const staging of this.#stagings) await staging.begin();
      this.step++;
      await this.#stepAll(learningRate);
      this.dropGradients();
      await this.#gpu.idle();
    } finally {
      for (const staging of this.#stagings) staging.end();
    }
  }

  async #stepAll(learningRate: number): Promise<void> {
    const { maxGradNorm: _m, offload: _o, stochasticRounding, ...options } = this.#options;
    const { gradients, norm } = this.#begun();
    let stream = 0;
    let before = Promise.resolve();
    for (const [name, { device, param, state }] of this.#states) {
      const grad = gradients.get(name)!;
      const rounding = stochasticRounding && { ...stochasticRounding, stream: stream++ };
      const shared = { ...options, clip: norm.clips[device]!, learningRate, step: this.step, rounding };
      await state.ready();
      const after = state.step((tensors) =>
        adamwStep(this.#gpu.devices[device]!.recorder(), { param, grad, ...tensors, ...shared }),
      );
      after.catch(() => {}); // heard below, unless the one before has failed
      await before; // the state of two parameters at most is on its way
      before = after;
    }
    await before;
  }

  /** Gives up a step: its gradients are forgotten. */
  dropGradients(): void {
    if (!this.#work) return;
    const { gradients, norm } = this.#work;
    this.#work = null;
    this.#gpu.release(...gradients.values(), ...norm.tensors);
  }

  /** Writes masters and moments as they are stored. */
  async save(files: Files, path: string): Promise<void> {
    const tensors: TensorSource[] = [];
    for (const [name, { param, state }] of this.#states) {
      for (const [kind, dtype] of Object.entries(state.dtypes) as [Kind, Storage][]) {
        tensors.push({
          name: `${kind}.${name}`,
          dtype: HF_DTYPE[dtype],
          shape: [...param.shape],
          data: () => state.bytes(kind),
        });
      }
    }
    await writeSafetensors(files, path, tensors, { step: String(this.step) });
  }

  /** Reads what `save` wrote for a model of the same shape and dtype, from an optimizer with state of the same dtype. */
  async load(files: Files, path: string): Promise<void> {
    const file = await openSafetensors(files, path);
    const step = Number(file.metadata["step"]);
    if (!Number.isSafeInteger(step))
      throw new FormatError(`${path}: expected the number of steps in its metadata, got ${file.metadata["step"]}`);
    for (const [name, { state }] of this.#states) {
      for (const [kind, dtype] of Object.entries(state.dtypes) as [Kind, Storage][]) {
        const key = `${kind}.${name}`;
        const values = await file.readF32(key);
        const [got, expected] = [file.tensors.get(key)!.dtype, HF_DTYPE[dtype]];
        if (got !== expected)
          throw new FormatError(
            `${path}: expected ${key} as ${expected}, got ${got}; resume with the dtype of the optimizer's state that the run began with`,
          );
        state.set(kind, values);
      }
    }
    this.step = step;
  }

  /** What masters and moments of each device's parameters take there, and in host memory. */
  get bytes(): { masters: number; moments: number; host: number }[] {
    const bytes = this.#gpu.devices.map(() => ({ masters: 0, moments: 0, host: 0 }));
    for (const { device, param, state } of this.#states.values()) {
      const here = bytes[device]!;
      here.masters += state.deviceBytes("master");
      here.moments += state.deviceBytes("m") + state.deviceBytes("v");
      if (this.#stagings.length === 0) continue;
      for (const dtype of Object.values(state.dtypes)) here.host += byteLength(param.shape, dtype);
    }
    return bytes;
  }

  dispose(): void {
    this.#gpu.close();
  }
}
