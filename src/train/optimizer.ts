import { FormatError, PithError } from "../errors.ts";
import type { Gpu, Scope } from "../gpu/gpu.ts";
import type { DType, Tensor } from "../gpu/tensor.ts";
import { openSafetensors, writeSafetensors, type TensorSource } from "../hf/safetensors.ts";
import { adamwStep } from "../kernels/adamw.ts";
import { globalNorm, partialSums } from "../kernels/grad-norm.ts";
import type { Model } from "../model/model.ts";
import type { Files } from "../runtime/types.ts";
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
}

const safetensorsDtype = ({ dtype }: Tensor): "F32" | "BF16" => (dtype === "bf16" ? "BF16" : "F32");

interface State {
  param: Tensor;
  /** f32 copy that is stepped where the parameter is bf16 and the state f32. */
  master: Tensor | undefined;
  /** Moments, f32 or bf16. */
  m: Tensor;
  v: Tensor;
  grad: Tensor;
}

/**
 * AdamW over a model's trainable parameters (Loshchilov & Hutter 2019), with f32 moments and for bf16 parameters f32 masters; or,
 * with stochastic rounding, with bf16 moments and no masters: bf16 parameters are stepped themselves (10 bytes a parameter with
 * its gradient instead of 18).
 */
export class AdamW {
  readonly model: Model;
  readonly gradients: Gradients;
  readonly #gpu: Scope;
  readonly #options: AdamWOptions;
  readonly #states: ReadonlyMap<string, State>;
  readonly #partials: Tensor;
  readonly #clip: Tensor;
  /** Steps done. */
  step = 0;

  private constructor(model: Model, gpu: Scope, options: AdamWOptions, states: ReadonlyMap<string, State>) {
    this.model = model;
    this.#gpu = gpu;
    this.#options = options;
    this.#states = states;
    this.gradients = new Map(Array.from(states, ([name, { grad }]) => [name, grad]));
    this.#partials = gpu.empty([partialSums(Array.from(states.values(), ({ grad }) => grad.size))], "f32");
    this.#clip = gpu.empty([2], "f32");
  }

  /** @throws OutOfMemoryError */
  static async create(model: Model, options: AdamWOptions): Promise<AdamW> {
    const gpu = model.gpu.scope();
    try {
      const states = new Map<string, State>();
      const moments = options.stochasticRounding ? "bf16" : "f32";
      for (const [name, param] of model.trainable) {
        const zeros = (dtype: DType) => gpu.zeros(param.shape, dtype);
        const hasMaster = param.dtype === "bf16" && !options.stochasticRounding;
        const master = hasMaster ? gpu.upload(await gpu.readF32(param), param.shape, "f32") : undefined;
        states.set(name, { param, master, m: zeros(moments), v: zeros(moments), grad: zeros("f32") });
      }
      const optimizer = new AdamW(model, gpu, options, states);
      await gpu.idle();
      return optimizer;
    } catch (error) {
      gpu.close();
      throw error;
    }
  }

  /** Steps every parameter by its gradient, clears the gradients, and returns their norm before clipping. */
  async update(learningRate: number): Promise<number> {
    const norm = await readRecorded(this.#gpu, this.recordNorm(this.#gpu));
    await this.apply(norm, learningRate);
    return norm;
  }

  /** The norm over all gradients as they are, which `apply` clips by. */
  recordNorm(gpu: Gpu): Recorded<number> {
    globalNorm(gpu.recorder(), {
      grads: [...this.gradients.values()],
      partials: this.#partials,
      out: this.#clip,
      maxNorm: this.#options.maxGradNorm,
    });
    return { tensors: [this.#clip], result: ([clip]) => clip![0]! };
  }

  /**
   * Steps every parameter by its gradient, clipped by the `norm` that was recorded, and clears the gradients. Resolves when
   * the device has done it.
   *
   * @throws PithError, and changes nothing, where the norm is not finite
   */
  async apply(norm: number, learningRate: number): Promise<void> {
    if (!Number.isFinite(norm)) {
      throw new PithError(
        `expected a finite gradient, got norm ${norm} at optimizer step ${this.step + 1}; lower the learning rate and resume from the last checkpoint`,
      );
    }
    this.step++;
    const { maxGradNorm: _, stochasticRounding, ...options } = this.#options;
    let stream = 0;
    for (const state of this.#states.values()) {
      const rounding = stochasticRounding && { ...stochasticRounding, stream: stream++ };
      adamwStep(this.#gpu.recorder(), {
        ...state,
        ...options,
        clip: this.#clip,
        learningRate,
        step: this.step,
        rounding,
      });
    }
    this.clearGradients();
    await this.#gpu.idle();
  }

  clearGradients(): void {
    for (const gradient of this.gradients.values()) this.#gpu.recorder().clear(gradient);
  }

  /** Writes masters and moments as they are stored. */
  async save(files: Files, path: string): Promise<void> {
    const gpu = this.#gpu;
    const tensors: TensorSource[] = [];
    for (const [name, { master, m, v }] of this.#states) {
      for (const [kind, tensor] of Object.entries({ master, m, v })) {
        if (tensor)
          tensors.push({
            name: `${kind}.${name}`,
            dtype: safetensorsDtype(tensor),
            shape: [...tensor.shape],
            data: () => gpu.readBytes(tensor),
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
    for (const [name, { master, m, v }] of this.#states) {
      for (const [kind, tensor] of Object.entries({ master, m, v })) {
        if (!tensor) continue;
        const key = `${kind}.${name}`;
        const values = await file.readF32(key);
        const [got, expected] = [file.tensors.get(key)!.dtype, safetensorsDtype(tensor)];
        if (got !== expected)
          throw new FormatError(
            `${path}: expected ${key} as ${expected}, got ${got}; resume with the dtype of the optimizer's state that the run began with`,
          );
        this.#gpu.write(tensor, values);
      }
    }
    this.step = step;
  }

  /** What masters and moments take on the device. */
  get bytes(): { masters: number; moments: number } {
    const bytes = { masters: 0, moments: 0 };
    for (const { master, m, v } of this.#states.values()) {
      bytes.masters += master?.allocation.size ?? 0;
      bytes.moments += m.allocation.size + v.allocation.size;
    }
    return bytes;
  }

  dispose(): void {
    this.#gpu.close();
  }
}
