/**
 * The linear layer's three products on this adapter, in GFLOP/s, and gpu.js's matrix product on the CPU in the same run as a
 * yardstick: `npm run bench`. Medians of at least seven runs after a warm-up; absolute figures hold for one machine only.
 */
import { linearBackwardInput, linearBackwardWeight, linearForward } from "../src/kernels/linear.ts";
import type { Gpu } from "../src/gpu/gpu.ts";
import type { Storage } from "../src/gpu/tensor.ts";
import { openGpu } from "../src/runtime/open-gpu.ts";

const SHAPES = [
  { rows: 128, inputs: 64, outputs: 192 },
  { rows: 2048, inputs: 64, outputs: 192 },
  { rows: 512, inputs: 512, outputs: 512 },
];
const RUNS = 7;

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

async function time(gpu: Gpu, record: () => void): Promise<number> {
  record();
  await gpu.idle();
  const seconds: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    record();
    await gpu.idle();
    seconds.push((performance.now() - start) / 1000);
  }
  return median(seconds);
}

async function peer(size: number): Promise<number> {
  const { GPU } = await import("gpu.js");
  const gpu = new GPU({ mode: "cpu" });
  const multiply = gpu
    .createKernel(function (
      this: { thread: { x: number; y: number }; constants: { size: number } },
      a: number[][],
      b: number[][],
    ) {
      let sum = 0;
      for (let k = 0; k < this.constants.size; k++) sum += a[this.thread.y]![k]! * b[k]![this.thread.x]!;
      return sum;
    })
    .setConstants({ size })
    .setOutput([size, size]);
  const matrix = Array.from({ length: size }, (_, i) =>
    Float32Array.from({ length: size }, (_v, j) => Math.sin(i * size + j)),
  );
  multiply(matrix as never, matrix as never);
  const seconds = Array.from({ length: RUNS }, () => {
    const start = performance.now();
    multiply(matrix as never, matrix as never);
    return (performance.now() - start) / 1000;
  });
  gpu.destroy();
  return median(seconds);
}

const gpu = await openGpu();
const gflops = (flops: number, seconds: number) => (flops / seconds / 1e9).toFixed(1).padStart(8);
console.log(`${gpu.name}\n${"T x K x N".padEnd(18)} weights  forward       dx       dW   (GFLOP/s)`);
let square = 0;
for (const { rows, inputs, outputs } of SHAPES) {
  for (const storage of ["f32", "bf16"] satisfies Storage[]) {
    const flops = 2 * rows * inputs * outputs;
    const [x, weight, y] = [
      gpu.zeros([rows, inputs], "f32"),
      gpu.zeros([outputs, inputs], storage),
      gpu.empty([rows, outputs], "f32"),
    ];
    const [dy, dx, dweight] = [
      gpu.zeros([rows, outputs], "f32"),
      gpu.empty([rows, inputs], "f32"),
      gpu.zeros([outputs, inputs], "f32"),
    ];
    const forward = await time(gpu, () => linearForward(gpu.recorder(), { x, weight, y }));
    const input = await time(gpu, () => linearBackwardInput(gpu.recorder(), { dy, weight, dx, accumulate: false }));
    const backward = await time(gpu, () => linearBackwardWeight(gpu.recorder(), { x, dy, dweight }));
    if (rows === 512 && storage === "f32") square = forward;
    console.log(
      `${`${rows} x ${inputs} x ${outputs}`.padEnd(18)} ${storage.padEnd(6)} ${[forward, input, backward].map((s) => gflops(flops, s)).join(" ")}`,
    );
    gpu.release(x, weight, y, dy, dx, dweight);
  }
}
const cpu = await peer(512);
console.log(
  `gpu.js on the CPU, 512 x 512 x 512: ${gflops(2 * 512 ** 3, cpu).trim()} GFLOP/s; ours in f32 is ${(cpu / square).toFixed(1)} times as fast in this run`,
);
process.exit(0);
