import { expose } from "comlink";
import { GPU } from "gpu.js";
import { matrix, measure, type Measured, type Operation } from "./matrices.ts";

/** gpu.js translates a function's source text: as text it survives the build's minifier. */
const MULTIPLY = `function multiply(a, b) {
  let sum = 0;
  for (let k = 0; k < this.constants.size; k++) {
    sum += a[this.thread.y][k] * b[k][this.thread.x];
  }
  return sum;
}`;

const LARGEST = `function largest(a) {
  let result = a[this.thread.x][0];
  for (let k = 1; k < this.constants.size; k++) {
    result = Math.max(result, a[this.thread.x][k]);
  }
  return result;
}`;

const POWERS = `function powers(a, largest) {
  let sum = 0;
  for (let k = 0; k < this.constants.size; k++) {
    sum += Math.exp(a[this.thread.x][k] - largest[this.thread.x]);
  }
  return sum;
}`;

const SHARE = `function share(a, largest, sum) {
  return Math.exp(a[this.thread.y][this.thread.x] - largest[this.thread.y]) / sum[this.thread.y];
}`;

type Kernel = (...inputs: unknown[]) => Float32Array[];

/** gpu.js, loaded only when the benchmark is run. */
const peer = {
  /** null where the mode does not exist here. */
  async measure(mode: "webgl2" | "cpu", operation: Operation, size: number): Promise<Measured | null> {
    if (mode === "webgl2" && !new OffscreenCanvas(1, 1).getContext("webgl2")) return null;
    const gpu = new GPU({ mode });
    const kernel = (source: string, output: number[]) =>
      gpu
        .createKernel(source as never)
        .setConstants({ size })
        .setOutput(output);
    /** One number for each row, which stays on the device for the kernels after it. */
    const rowKernel = (source: string) => kernel(source, [size]).setPipeline(true) as unknown as Kernel;
    const kernelOf = (source: string) => kernel(source, [size, size]) as unknown as Kernel;
    const rows = (seed: number) => {
      const flat = matrix(size, seed);
      return Array.from({ length: size }, (_, i) => flat.subarray(i * size, (i + 1) * size));
    };
    try {
      const [a, b] = [rows(1), rows(2)];
      const [multiply, largest, powers, share] = [
        kernelOf(MULTIPLY),
        rowKernel(LARGEST),
        rowKernel(POWERS),
        kernelOf(SHARE),
      ];
      const softmax = () => {
        const top = largest(a);
        return share(a, top, powers(a, top));
      };
      const { seconds, result } = await measure(operation === "product" ? () => multiply(a, b) : softmax);
      return { seconds, result: Float32Array.from(result.flatMap((row) => [...row])) };
    } finally {
      void gpu.destroy();
    }
  },
};
export type Peer = typeof peer;

addEventListener("message", ({ ports: [port] }) => expose(peer, port), { once: true });
