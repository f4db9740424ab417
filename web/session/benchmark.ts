import type { Gpu } from "../../src/gpu/gpu.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { linearForward } from "../../src/kernels/linear.ts";
import { matrix, median, RUNS, transposed, type Product } from "../matrices.ts";

/** Pith's linear kernel on a square product in f32. A run is what gpu.js does in one: upload, multiply, read back. */
export async function measureProduct(gpu: Gpu, size: number): Promise<Product> {
  const [a, b] = [matrix(size, 1), transposed(matrix(size, 2), size)];
  const [x, weight, y] = [0, 1, 2].map(() => gpu.empty([size, size], "f32")) as [Tensor, Tensor, Tensor];
  const run = () => {
    gpu.write(x, a);
    gpu.write(weight, b);
    linearForward(gpu.recorder(), { x, weight, y });
    return gpu.readF32(y);
  };
  try {
    let result = await run();
    const seconds: number[] = [];
    for (let i = 0; i < RUNS; i++) {
      const start = performance.now();
      result = await run();
      seconds.push((performance.now() - start) / 1000);
    }
    return { seconds: median(seconds), result };
  } finally {
    gpu.release(x, weight, y);
  }
}
