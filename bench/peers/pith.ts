/** Pith itself, in f32 as the others are. */
import packageJson from "../../package.json" with { type: "json" };
import type { Gpu } from "../../src/gpu/gpu.ts";
import type { Recorder } from "../../src/gpu/recorder.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { linearForward } from "../../src/kernels/linear.ts";
import { rmsnormForward } from "../../src/kernels/rmsnorm.ts";
import { softmaxForward } from "../../src/kernels/softmax.ts";
import { parseModelConfig } from "../../src/model/config.ts";
import { Model } from "../../src/model/model.ts";
import { openGpu } from "../../src/runtime/open-gpu.ts";
import { MicroBatches } from "../../src/train/micro-batches.ts";
import { AdamW } from "../../src/train/optimizer.ts";
import { supervisedGradient } from "../../src/train/policy.ts";
import * as data from "./cases.ts";
import type { Library, Work } from "./library.ts";

const { ADAM, BATCH, MODEL, ROWS } = data;

export async function open(): Promise<Library> {
  const gpu = await openGpu();
  const matmuls = data.MATMULS.map((size) => [`matmul-${size}`, matmul(gpu, size)] as const);
  return {
    version: packageJson.version,
    cases: {
      ...Object.fromEntries(matmuls),
      softmax: softmax(gpu),
      rmsnorm: rmsnorm(gpu),
      "train-step": trainStep(gpu),
    },
  };
}

const pure = (gpu: Gpu, result: Tensor, record: (rec: Recorder) => void): Work => ({
  async run(repeats) {
    for (let i = 0; i < repeats; i++) record(gpu.recorder());
    await gpu.idle();
  },
  async check() {
    record(gpu.recorder());
    return data.digest(await gpu.readF32(result));
  },
});

/** linearForward wants the second factor transposed, as a linear layer has its weight. */
function matmul(gpu: Gpu, size: number): Work {
  const [a, b] = data.matmulInputs(size);
  const transposed = b.map((_, i) => b[(i % size) * size + Math.floor(i / size)]!);
  const shape = [size, size];
  const [x, weight, y] = [gpu.upload(a, shape, "f32"), gpu.upload(transposed, shape, "f32"), gpu.empty(shape, "f32")];
  return pure(gpu, y, (rec) => linearForward(rec, { x, weight, y }));
}

function softmax(gpu: Gpu): Work {
  const shape = [ROWS.rows, ROWS.columns];
  const [x, y] = [gpu.upload(data.rowInput(), shape, "f32"), gpu.empty(shape, "f32")];
  return pure(gpu, y, (rec) => softmaxForward(rec, { x, y }));
}

function rmsnorm(gpu: Gpu): Work {
  const shape = [ROWS.rows, ROWS.columns];
  const [x, y] = [gpu.upload(data.rowInput(), shape, "f32"), gpu.empty(shape, "f32")];
  const weight = gpu.upload(data.normWeight(), [ROWS.columns], "f32");
  const rstd = gpu.empty([ROWS.rows], "f32");
  return pure(gpu, y, (rec) => rmsnormForward(rec, { x, weight, y, rstd, eps: data.NORM_EPS }));
}

/** What `pith sft` does for a batch. */
function trainStep(gpu: Gpu): Work {
  const config = parseModelConfig({ model_type: "qwen2", ...MODEL }, "peers");
  const ids = Array.from(data.tokens());
  const items = Array.from({ length: BATCH.sequences }, (_, s) => [
    ids.slice(s * BATCH.length, (s + 1) * BATCH.length),
  ]);
  const weight = 1 / (BATCH.sequences * (BATCH.length - 1));
  const microBatches = new MicroBatches(BATCH.sequences * BATCH.length);
  let optimizer: AdamW | null = null;
  async function fresh(): Promise<AdamW> {
    optimizer?.dispose();
    optimizer?.model.dispose();
    const parameters = Array.from(
      data.parameters(),
      ([name, p]) => [name, gpu.upload(p.data, p.shape, "f32")] as const,
    );
    const { learningRate: _, ...adam } = ADAM;
    const model = new Model(gpu, config, "float32", new Map(parameters));
    return (optimizer = await AdamW.create(model, { ...adam, weightDecay: 0, maxGradNorm: Infinity }));
  }
  async function step({ model, gradients }: AdamW): Promise<number> {
    const { results } = await microBatches.step(optimizer!, items, ADAM.learningRate, (packed, _items, gpu) => {
      const weights = new Float32Array(packed.tokenIds.length).fill(weight);
      return supervisedGradient(model, gradients, packed, weights, { recompute: false }, gpu);
    });
    return results.reduce((total, { loss }) => total + loss.reduce((sum, l) => sum + l, 0), 0);
  }
  return {
    async run(repeats) {
      const current = optimizer ?? (await fresh());
      for (let i = 0; i < repeats; i++) await step(current);
      await gpu.idle();
    },
    async check() {
      const start = await fresh();
      let last = 0;
      for (let i = 0; i < data.CHECKED_STEPS; i++) last = await step(start);
      return last;
    },
  };
}
