/** jax-js: grad and jit, on WebGPU and (as a yardstick on the CPU) on WebAssembly. */
import { readFileSync } from "node:fs";
import "./dawn.ts";
import {
  blockUntilReady,
  defaultDevice,
  getWebGPUDevice,
  init,
  jit,
  nn,
  numpy as np,
  tree,
  valueAndGrad,
} from "@jax-js/jax";
import * as data from "./cases.ts";

const { ADAM, BATCH, MODEL, ROWS } = data;

export async function open(device) {
  const devices = await init(device);
  if (!devices.includes(device)) throw new Error(`jax-js has no device ${device} here`);
  defaultDevice(device);
  const { version } = JSON.parse(
    readFileSync(new URL("node_modules/@jax-js/jax/package.json", import.meta.url), "utf8"),
  );
  return { version, cases: { ...matmuls(), softmax: softmax(), rmsnorm: rmsnorm(), "train-step": trainStep() } };
}

/** A function of arrays that stay as they are: run `repeats` times, wait once. */
function pure(f, inputs) {
  const arrays = inputs.map(({ values, shape }) => np.array(values).reshape(shape));
  const compiled = jit(f);
  const call = () => compiled(...arrays.map((a) => a.ref));
  return {
    async run(repeats) {
      const results = [];
      for (let i = 0; i < repeats; i++) results.push(call());
      await finished(results);
      for (const result of results) result.dispose();
    },
    check: async () => data.digest(await call().data()),
  };
}

/** blockUntilReady sends the work; on WebGPU it then maps nothing, which does not wait for the device. */
async function finished(results) {
  await blockUntilReady(results);
  if (defaultDevice() === "webgpu") await getWebGPUDevice().queue.onSubmittedWorkDone();
}

const matmuls = () =>
  Object.fromEntries(
    data.MATMULS.map((size) => {
      const inputs = data.matmulInputs(size).map((values) => ({ values, shape: [size, size] }));
      return [`matmul-${size}`, pure((a, b) => np.matmul(a, b), inputs)];
    }),
  );

const rows = () => ({ values: data.rowInput(), shape: [ROWS.rows, ROWS.columns] });

const softmax = () => pure((x) => nn.softmax(x, -1), [rows()]);

const rmsnorm = () => pure(normalize, [rows(), { values: data.normWeight(), shape: [ROWS.columns] }]);

function normalize(x, weight) {
  const meanSquare = np.mean(np.square(x.ref), -1, { keepdims: true });
  return x.div(np.sqrt(meanSquare.add(MODEL.rms_norm_eps))).mul(weight);
}

function trainStep() {
  const shapes = data.parameterShapes();
  const initial = data.parameters();
  const { cos, sin } = data.rotary();
  const half = MODEL.head_dim / 2;
  const table = (values) => np.array(values).reshape([BATCH.length, 1, half]);
  const constants = {
    cos: table(cos),
    sin: table(sin),
    ids: np.array(data.tokens()).reshape([BATCH.sequences, BATCH.length]),
  };

  const update = jit((params, m, v, step, { cos: c, sin: s, ids }) => {
    const [value, grads] = valueAndGrad((p) => loss(p, c.ref, s.ref, ids.ref))(tree.ref(params));
    c.dispose();
    s.dispose();
    ids.dispose();
    const m2 = tree.map((a, g) => a.mul(ADAM.beta1).add(g.mul(1 - ADAM.beta1)), m, tree.ref(grads));
    const v2 = tree.map((a, g) => a.mul(ADAM.beta2).add(np.square(g).mul(1 - ADAM.beta2)), v, grads);
    const scaleM = np.subtract(1, np.power(ADAM.beta1, step.ref));
    const scaleV = np.subtract(1, np.power(ADAM.beta2, step));
    const stepped = tree.map(
      (p, a, b) =>
        p.sub(
          a
            .div(scaleM.ref)
            .mul(ADAM.learningRate)
            .div(np.sqrt(b.div(scaleV.ref)).add(ADAM.eps)),
        ),
      params,
      tree.ref(m2),
      tree.ref(v2),
    );
    scaleM.dispose();
    scaleV.dispose();
    return { params: stepped, m: m2, v: v2, loss: value };
  });

  const fresh = () => {
    const params = Object.fromEntries(Array.from(initial, ([name, p]) => [name, np.array(p.data).reshape(p.shape)]));
    const zeros = () => Object.fromEntries(Array.from(shapes, ([name, shape]) => [name, np.zeros(shape)]));
    return { params, m: zeros(), v: zeros(), step: 0 };
  };
  let state = null;
  async function step() {
    const { params, m, v } = state;
    state.step++;
    const next = update(params, m, v, np.array(state.step), tree.ref(constants));
    Object.assign(state, { params: next.params, m: next.m, v: next.v });
    return (await next.loss.data())[0];
  }
  return {
    async run(repeats) {
      state ??= fresh();
      for (let i = 0; i < repeats; i++) await step();
    },
    async check() {
      state = fresh();
      let last = 0;
      for (let i = 0; i < data.CHECKED_STEPS; i++) last = await step();
      return last;
    },
  };
}

/** Mean cross-entropy of the next tokens. */
function loss(params, cos, sin, ids) {
  const { sequences, length } = BATCH;
  const V = MODEL.vocab_size;
  const inputs = nn.oneHot(ids.ref, V);
  let x = np.matmul(inputs, params["model.embed_tokens.weight"]);
  for (let layer = 0; layer < MODEL.num_hidden_layers; layer++) x = decoderLayer(params, layer, x, cos.ref, sin.ref);
  cos.dispose();
  sin.dispose();
  const logits = linear(normalize(x, params["model.norm.weight"]), params["lm_head.weight"]);
  const logprobs = nn.logSoftmax(logits.slice([], [0, length - 1]), -1);
  const targets = nn.oneHot(ids.slice([], [1, length]), V);
  return logprobs
    .mul(targets)
    .sum()
    .div(-sequences * (length - 1));
}

const linear = (x, weight) => np.matmul(x, weight.transpose());

function decoderLayer(params, layer, x, cos, sin) {
  const p = (name) => params[`model.layers.${layer}.${name}`];
  const { num_attention_heads: H, num_key_value_heads: G, head_dim: D } = MODEL;
  const { sequences: B, length: L } = BATCH;
  const normed = normalize(x.ref, p("input_layernorm.weight"));
  const heads = (name, count) =>
    linear(normed.ref, p(`self_attn.${name}_proj.weight`))
      .add(p(`self_attn.${name}_proj.bias`))
      .reshape([B, L, count, D]);
  const q = rotate(heads("q", H), cos.ref, sin.ref);
  const k = rotate(heads("k", G), cos, sin);
  const v = heads("v", G);
  normed.dispose();
  const attended = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([B, L, H * D]);
  const middle = x.add(linear(attended, p("self_attn.o_proj.weight")));
  const y = normalize(middle.ref, p("post_attention_layernorm.weight"));
  const gate = nn.silu(linear(y.ref, p("mlp.gate_proj.weight")));
  return middle.add(linear(gate.mul(linear(y, p("mlp.up_proj.weight"))), p("mlp.down_proj.weight")));
}

function rotate(x, cos, sin) {
  const half = MODEL.head_dim / 2;
  const first = x.ref.slice([], [], [], [0, half]);
  const second = x.slice([], [], [], [half, 2 * half]);
  return np.concatenate([first.ref.mul(cos.ref).sub(second.ref.mul(sin.ref)), second.mul(cos).add(first.mul(sin))], -1);
}
