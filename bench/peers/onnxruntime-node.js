/** onnxruntime-node with its WebGPU execution provider, which brings a Dawn of its own. Inference alone: no training step. */
import { createRequire } from "node:module";
import * as data from "./cases.ts";
import { CHAIN } from "./library.ts";
import { chain } from "./onnx-model.ts";

const { NORM_EPS, ROWS } = data;

export async function open() {
  const require = createRequire(import.meta.url);
  const ort = require("onnxruntime-node");
  return { version: ort.env.versions.node, cases: await cases(ort, "webgpu") };
}

export async function cases(ort, provider) {
  const rows = { shape: [ROWS.rows, ROWS.columns], values: data.rowInput() };
  const all = {};
  for (const size of data.MATMULS) {
    const [values, weight] = data.matmulInputs(size);
    const shape = [size, size];
    all[`matmul-${size}`] = await work(ort, provider, "MatMul", { shape, values, weight: { shape, data: weight } });
  }
  all.softmax = await work(ort, provider, "Softmax", { ...rows, attributes: { axis: -1 } });
  all.rmsnorm = await work(ort, provider, "SimplifiedLayerNormalization", {
    ...rows,
    weight: { shape: [ROWS.columns], data: data.normWeight() },
    attributes: { axis: -1, epsilon: NORM_EPS },
  });
  return all;
}

async function work(ort, provider, op, { values, ...options }) {
  const create = (model) => ort.InferenceSession.create(model, { executionProviders: [provider], logSeverityLevel: 3 });
  const sessions = {};
  const x0 = new ort.Tensor("float32", values, options.shape);
  const session = async (length, whole) =>
    (sessions[`${length}${whole}`] ??= await create(chain(op, { ...options, length, whole })));
  return {
    /** In whole chains: the runner asks for multiples of CHAIN. */
    async run(repeats) {
      for (let i = 0; i < repeats / CHAIN; i++) await (await session(CHAIN, false)).run({ x0 });
    },
    async check() {
      await this.run(CHAIN); // prepares what is measured
      const results = await (await session(1, true)).run({ x0 });
      return data.digest(Object.values(results)[0].data);
    },
  };
}
