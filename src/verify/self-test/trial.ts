import { packBf16, unpackBf16 } from "../../core/bf16.ts";
import type { Scope } from "../../gpu/gpu.ts";
import type { Recorder } from "../../gpu/recorder.ts";
import { elementCount, type Storage, type Tensor } from "../../gpu/tensor.ts";
import { normalAt } from "../../model/init.ts";
import { check, relativeL2, type Check } from "../check.ts";

const LIMIT = 1e-5;
/** Of an output that is stored in bf16: its rounding is up to 2^-9 of a number. */
const BF16_LIMIT = 4e-3;
/**
 * Of what subgroup matrices compute: they round operands to 11 bits, which leaves a logit off by up to 2^-11 of its terms' magnitudes,
 * about ten here, and a probability by that share of itself.
 */
const ROUNDED_LIMIT = 2 ** -7;

/** A kernel and its twin on the same inputs. */
export interface Trial {
  name: string;
  /** Whether there are products in it that a faster tier rounds the operands of, for weights, keys and values in bf16. */
  hasProducts?: boolean;
  run: (bench: Bench) => void;
}

/** Numbers on the device, and the same for the twin. */
export interface Input {
  tensor: Tensor;
  values: Float64Array;
}

/** Inputs and outputs of one trial, in a scope of its own: what came of the kernel, and what should have. */
export class Bench {
  readonly gpu: Scope;
  readonly rec: Recorder;
  readonly storage: Storage;
  readonly #outputs: { tensor: Tensor; want: ArrayLike<number>; limit: number }[] = [];
  readonly #limit: number;
  #stream = 0;

  constructor(gpu: Scope, storage: Storage, { hasProducts = false }: Trial) {
    this.gpu = gpu;
    this.rec = gpu.recorder();
    this.storage = storage;
    const isRounded = hasProducts && storage === "bf16" && gpu.tier === "matrices";
    this.#limit = isRounded ? ROUNDED_LIMIT : LIMIT;
  }

  /** Normal numbers as the tensor really holds them. */
  input(shape: readonly number[], storage: Storage = this.storage, scale = 1): Input {
    const stream = this.#stream++;
    return this.given(
      Float32Array.from({ length: elementCount(shape) }, (_, i) => scale * normalAt(1, stream, i)),
      shape,
      storage,
    );
  }

  given(data: Float32Array, shape: readonly number[] = [data.length], storage: Storage = "f32"): Input {
    const values = Float64Array.from(storage === "bf16" ? unpackBf16(packBf16(data)) : data);
    return { tensor: this.gpu.upload(data, shape, storage), values };
  }

  indices(values: ArrayLike<number>, shape: readonly number[] = [values.length]): Tensor {
    return this.gpu.upload(Uint32Array.from(values), shape, "u32");
  }

  /** Zeros in f32. */
  output(...shape: number[]): Tensor {
    return this.gpu.zeros(shape, "f32");
  }

  /** Zeros as weights are stored. */
  elements(...shape: number[]): Tensor {
    return this.gpu.zeros(shape, this.storage);
  }

  expect(tensor: Tensor, want: ArrayLike<number>): void {
    this.#outputs.push({ tensor, want, limit: tensor.dtype === "bf16" ? BF16_LIMIT : this.#limit });
  }

  /** The check of the output that comes nearest to its limit. */
  async worst(name: string): Promise<Check> {
    let worst = check(name, 0, this.#limit);
    for (const { tensor, want, limit } of this.#outputs) {
      const got = tensor.dtype === "u32" ? await this.gpu.readU32(tensor) : await this.gpu.readF32(tensor);
      const error = relativeL2(got, want);
      if (!(error / limit <= worst.error / worst.limit)) worst = check(name, error, limit);
    }
    return worst;
  }
}
