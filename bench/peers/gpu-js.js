/** gpu.js, kernels from JavaScript functions, on its WebGPU backend and on our Dawn. No training step: it has no gradients. */
import { createRequire } from "node:module";
import "./dawn.ts";
import * as data from "./cases.ts";

const require = createRequire(import.meta.url);
const { NORM_EPS, ROWS } = data;

export async function open() {
  const { GPU } = require("gpu.js");
  const gpu = new GPU({ mode: "webgpu" });
  return {
    version: require("gpu.js/package.json").version,
    cases: { ...matmuls(gpu), softmax: softmax(gpu), rmsnorm: rmsnorm(gpu) },
  };
}

/** Moves a matrix to the device: there a kernel's result stays. */
function resident(gpu, values, columns) {
  const { input } = require("gpu.js");
  const size = [columns, values.length / columns];
  const copy = gpu.createKernel(
    function (a) {
      return a[this.thread.y][this.thread.x];
    },
    { pipeline: true, output: size },
  );
  return copy(input(values, size));
}

/** `call` gives a result that is on the device. */
const work = (call) => ({
  async run(repeats) {
    const results = [];
    for (let i = 0; i < repeats; i++) results.push(await call());
    await results.at(-1).context.device.queue.onSubmittedWorkDone();
    for (const result of results) result.delete();
  },
  async check() {
    const result = await call();
    const rows = await result.toArray();
    result.delete();
    return data.digest(Float32Array.from(rows.flatMap((row) => [...row])));
  },
});

const matmuls = (gpu) =>
  Object.fromEntries(
    data.MATMULS.map((size) => {
      const kernel = gpu.createKernel(
        function (a, b) {
          let sum = 0;
          for (let k = 0; k < this.constants.size; k++) sum += a[this.thread.y][k] * b[k][this.thread.x];
          return sum;
        },
        { pipeline: true, immutable: true, output: [size, size], constants: { size } },
      );
      const inputs = data.matmulInputs(size).map((values) => resident(gpu, values, size));
      return [`matmul-${size}`, work(async () => kernel(...(await Promise.all(inputs))))];
    }),
  );

const rowSettings = { pipeline: true, immutable: true, constants: { columns: ROWS.columns, eps: NORM_EPS } };
const wide = { ...rowSettings, output: [ROWS.columns, ROWS.rows] };
const narrow = { ...rowSettings, output: [ROWS.rows] };

function softmax(gpu) {
  const x = resident(gpu, data.rowInput(), ROWS.columns);
  const maximum = gpu.createKernel(function (a) {
    let max = a[this.thread.x][0];
    for (let i = 1; i < this.constants.columns; i++) max = Math.max(max, a[this.thread.x][i]);
    return max;
  }, narrow);
  const total = gpu.createKernel(function (a, max) {
    let sum = 0;
    for (let i = 0; i < this.constants.columns; i++) sum += Math.exp(a[this.thread.x][i] - max[this.thread.x]);
    return sum;
  }, narrow);
  const divide = gpu.createKernel(function (a, max, sum) {
    return Math.exp(a[this.thread.y][this.thread.x] - max[this.thread.y]) / sum[this.thread.y];
  }, wide);
  return work(async () => {
    const max = await maximum(await x);
    const sum = await total(await x, max);
    const result = await divide(await x, max, sum);
    max.delete();
    sum.delete();
    return result;
  });
}

function rmsnorm(gpu) {
  const x = resident(gpu, data.rowInput(), ROWS.columns);
  const weight = resident(gpu, data.normWeight(), ROWS.columns);
  const inverse = gpu.createKernel(function (a) {
    let sum = 0;
    for (let i = 0; i < this.constants.columns; i++) sum += a[this.thread.x][i] * a[this.thread.x][i];
    return 1 / Math.sqrt(sum / this.constants.columns + this.constants.eps);
  }, narrow);
  const scale = gpu.createKernel(function (a, rstd, w) {
    return a[this.thread.y][this.thread.x] * rstd[this.thread.y] * w[0][this.thread.x];
  }, wide);
  return work(async () => {
    const rstd = await inverse(await x);
    const result = await scale(await x, rstd, await weight);
    rstd.delete();
    return result;
  });
}
