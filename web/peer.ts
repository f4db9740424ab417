import { expose } from "comlink";
import { GPU } from "gpu.js";
import { matrix, median, RUNS, type Product } from "./matrices.ts";

/** gpu.js translates a function's source text: as text it survives the build's minifier. */
const MULTIPLY = `function multiply(a, b) {
  let sum = 0;
  for (let k = 0; k < this.constants.size; k++) {
    sum += a[this.thread.y][k] * b[k][this.thread.x];
  }
  return sum;
}`;

/** gpu.js in a worker of its own: it builds code at run time, which the page's policy forbids, and is loaded only when asked for. */
const peer = {
  /** null where the mode does not exist here. */
  product(mode: "webgl2" | "cpu", size: number): Product | null {
    if (mode === "webgl2" && !new OffscreenCanvas(1, 1).getContext("webgl2")) return null;
    const gpu = new GPU({ mode });
    try {
      const rows = (seed: number) => {
        const flat = matrix(size, seed);
        return Array.from({ length: size }, (_, i) => flat.subarray(i * size, (i + 1) * size));
      };
      const [a, b] = [rows(1), rows(2)];
      const multiply = gpu
        .createKernel(MULTIPLY as never)
        .setConstants({ size })
        .setOutput([size, size]) as unknown as (a: Float32Array[], b: Float32Array[]) => Float32Array[];
      let result = multiply(a, b);
      const seconds: number[] = [];
      for (let i = 0; i < RUNS; i++) {
        const start = performance.now();
        result = multiply(a, b);
        seconds.push((performance.now() - start) / 1000);
      }
      return { seconds: median(seconds), result: Float32Array.from(result.flatMap((row) => [...row])) };
    } finally {
      void gpu.destroy();
    }
  },
};
export type Peer = typeof peer;

expose(peer);
