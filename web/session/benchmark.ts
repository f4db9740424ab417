import type { Gpu } from "../../src/gpu/gpu.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { linearForward } from "../../src/kernels/linear.ts";
import { softmaxForward } from "../../src/kernels/softmax.ts";
import { matrix, measure, transposed, type Measured, type Operation } from "../matrices.ts";

/** Pith's kernel on square matrices of f32. A run is what gpu.js does in one: upload, compute, read back. */
export async function measureKernel(gpu: Gpu, operation: Operation, size: number): Promise<Measured> {
  const [a, b] = [matrix(size, 1), transposed(matrix(size, 2), size)];
  const [x, weight, y] = [0, 1, 2].map(() => gpu.empty([size, size], "f32")) as [Tensor, Tensor, Tensor];
  const run = () => {
    gpu.write(x, a);
    if (operation === "softmax") softmaxForward(gpu.recorder(), { x, y });
    else {
      gpu.write(weight, b);
      linearForward(gpu.recorder(), { x, weight, y });
    }
    return gpu.readF32(y);
  };
  try {
    return await measure(run);
  } finally {
    gpu.release(x, weight, y);
  }
}
