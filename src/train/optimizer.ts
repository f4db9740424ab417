import { FormatError, PithError } from "../errors.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { openSafetensors, writeSafetensors, type TensorSource } from "../hf/safetensors.ts";
import { adamwStep } from "../kernels/adamw.ts";
import { globalNorm, partialSums } from "../kernels/grad-norm.ts";
import type { Model } from "../model/model.ts";
import type { Files } from "../runtime/types.ts";
import type { Gradients } from "./policy.ts";

export interface AdamWOptions {
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** The gradient's global norm is clipped to this. */
  maxGradNorm: number;
}

interface State {
  param: Tensor;
  /** f32 copy that is stepped where the parameter is bf16. */
  master: Tensor | undefined;
  m: Tensor;
  v: Tensor;
  grad: Tensor;
}

/** AdamW over all of a model's parameters, with f32 masters and moments (Loshchilov & Hutter 2019). */
export class AdamW {
  readonly gradients: Gradients;
  readonly #model: Model;
  readonly #options: AdamWOptions;
  readonly #states: ReadonlyMap<string, State>;
  readonly #partials: Tensor;
  readonly #clip: Tensor;
  /** Steps done. */
  step = 0;

  private constructor(model: Model, options: AdamWOptions, states: ReadonlyMap<string, State>) {
    this.#model = model;
    this.#options = options;
    this.#states = states;
    this.gradients = new Map(Array.from(states, ([name, { grad }]) => [name, grad]));
    this.#partials = model.gpu.empty([partialSums(Array.from(states.values(), ({ grad }) => grad.size))], "f32");
    this.#clip = model.gpu.empty([2], "f32");
  }

  static async create(model: Model, options: AdamWOptions): Promise<AdamW> {
    const { gpu } = model;
    const states = new Map<string, State>();
    for (const [name, param] of model.parameters) {
      const zeros = () => gpu.zeros(param.shape, "f32");
      const master = param.dtype === "bf16" ? gpu.upload(await gpu.readF32(param), param.shape, "f32") : undefined;
      states.set(name, { param, master, m: zeros(), v: zeros(), grad: zeros() });
    }
    return new AdamW(model, options, states);
  }

  /** Steps every parameter by its gradient, clears the gradients, and returns their norm before clipping. */
  async update(learningRate: number): Promise<number> {
    const { gpu } = this.#model;
    const rec = gpu.recorder();
    const { maxGradNorm, ...options } = this.#options;
    globalNorm(rec, {
      grads: [...this.gradients.values()],
      partials: this.#partials,
      out: this.#clip,
      maxNorm: maxGradNorm,
    });
    const [norm] = await gpu.readF32(this.#clip);
    if (!Number.isFinite(norm)) {
      throw new PithError(
        `expected a finite gradient, got norm ${norm} at optimizer step ${this.step + 1}; lower the learning rate and resume from the last checkpoint`,
      );
    }
    this.step++;
    for (const state of this.#states.values()) {
      adamwStep(rec, { ...state, clip: this.#clip, learningRate, step: this.step, ...options });
      rec.clear(state.grad);
    }
    return norm!;
  }

  /** Writes masters and moments, exactly. */
  async save(files: Files, path: string): Promise<void> {
    const { gpu } = this.#model;
    const tensors: TensorSource[] = [];
    for (const [name, { master, m, v }] of this.#states) {
      for (const [kind, tensor] of Object.entries({ master, m, v })) {
        if (tensor)
          tensors.push({
            name: `${kind}.${name}`,
            dtype: "F32",
            shape: [...tensor.shape],
            data: () => gpu.readBytes(tensor),
          });
      }
    }
    await writeSafetensors(files, path, tensors, { step: String(this.step) });
  }

  /** Reads what `save` wrote for a model of the same shape and dtype. */
  async load(files: Files, path: string): Promise<void> {
    const file = await openSafetensors(files, path);
    const step = Number(file.metadata["step"]);
    if (!Number.isSafeInteger(step))
      throw new FormatError(`${path}: expected the number of steps in its metadata, got ${file.metadata["step"]}`);
    for (const [name, { master, m, v }] of this.#states) {
      for (const [kind, tensor] of Object.entries({ master, m, v })) {
        if (tensor) this.#model.gpu.write(tensor, await file.readF32(`${kind}.${name}`));
      }
    }
    this.step = step;
  }

  dispose(): void {
    const { gpu } = this.#model;
    for (const { master, m, v, grad } of this.#states.values()) gpu.release(master, m, v, grad);
    gpu.release(this.#partials, this.#clip);
  }
}
