import type { Gpu } from "../gpu/gpu.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { normOfSums, partialSums, squaredSums } from "../kernels/grad-norm.ts";
import type { Recorded } from "./recorded.ts";

/** A gradient, and which of the job's devices it lies on. */
interface Placed {
  grad: Tensor;
  device: number;
}

/** The norm over gradients that may lie on several devices, with the bits that it has on one: its sums are joined in their order. */
export class GradientNorm {
  /** f32 [2] on each device: globalNorm's `out`. */
  readonly clips: readonly Tensor[];
  readonly #partials: readonly Tensor[];
  readonly #count: number;

  constructor(gpu: Gpu, sizes: readonly number[]) {
    const count = partialSums(sizes);
    this.#count = count;
    this.#partials = gpu.devices.map((device) => device.empty([count], "f32"));
    this.clips = gpu.devices.map((device) => device.empty([2], "f32"));
  }

  get tensors(): readonly Tensor[] {
    return [...this.#partials, ...this.clips];
  }

  /** The norm of the gradients as they are, in the order of the sizes; leaves the clipping factor in `clips`. */
  async record({ devices }: Gpu, gradients: readonly Placed[], maxNorm: number): Promise<Recorded<number>> {
    let first = 0;
    const places = gradients.map(({ grad, device }) => {
      squaredSums(devices[device]!.recorder(), { grads: [grad], partials: this.#partials[device]!, first });
      const start = first;
      return { device, start, end: (first += partialSums([grad.size])) };
    });
    const last = devices.length - 1;
    const [partials, clip] = [this.#partials[last]!, this.clips[last]!];
    if (last > 0) {
      const sums = await Promise.all(this.#partials.map((of, i) => devices[i]!.readF32(of)));
      const joined = new Float32Array(this.#count);
      for (const { device, start, end } of places) joined.set(sums[device]!.subarray(start, end), start);
      devices[last]!.write(partials, joined);
    }
    normOfSums(devices[last]!.recorder(), { partials, count: this.#count, out: clip, maxNorm });
    if (last > 0) {
      const values = await devices[last]!.readF32(clip);
      for (let i = 0; i < last; i++) devices[i]!.write(this.clips[i]!, values);
    }
    return { tensors: [clip], result: ([values]) => values![0]! };
  }
}
