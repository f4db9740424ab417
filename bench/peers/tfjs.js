/** TensorFlow.js on its WebGPU backend: eager operations, variableGrads and its Adam. */
import { createRequire } from "node:module";
import "./dawn.ts";
import * as data from "./cases.ts";

// Its ES modules do not load in Node (imports without file names), its CommonJS bundles do.
const require = createRequire(import.meta.url);
const { ADAM, BATCH, MODEL, ROWS } = data;
let tf;

export async function open() {
  tf = require("@tensorflow/tfjs");
  require("@tensorflow/tfjs-backend-webgpu");
  await tf.setBackend("webgpu");
  return {
    version: tf.version.tfjs,
    cases: { ...matmuls(), softmax: softmax(), rmsnorm: rmsnorm(), "train-step": trainStep() },
  };
}

/** Work is done in order: an element of the last result is there when all is. */
async function finished(last) {
  const element = tf.tidy(() => last.flatten().slice(0, 1));
  await element.data();
  element.dispose();
}

function pure(f) {
  return {
    async run(repeats) {
      const results = [];
      for (let i = 0; i < repeats; i++) results.push(tf.tidy(f));
      await finished(results.at(-1));
      tf.dispose(results);
    },
    async check() {
      const result = tf.tidy(f);
      const values = await result.data();
      result.dispose();
      return data.digest(values);
    },
  };
}

const matmuls = () =>
  Object.fromEntries(
    data.MATMULS.map((size) => {
      const [a, b] = data.matmulInputs(size).map((values) => tf.tensor2d(values, [size, size]));
      return [`matmul-${size}`, pure(() => tf.matMul(a, b))];
    }),
  );

const rows = () => tf.tensor2d(data.rowInput(), [ROWS.rows, ROWS.columns]);

function softmax() {
  const x = rows();
  return pure(() => tf.softmax(x));
}

function rmsnorm() {
  const x = rows();
  const weight = tf.tensor1d(data.normWeight());
  return pure(() => normalize(x, weight));
}

const normalize = (x, weight) => x.mul(x.square().mean(-1, true).add(MODEL.rms_norm_eps).rsqrt()).mul(weight);

function trainStep() {
  const initial = data.parameters();
  const { cos, sin } = data.rotary();
  const table = (values) => tf.tensor(values, [BATCH.length, 1, MODEL.head_dim / 2]);
  const ids = tf.tensor2d(data.tokens(), [BATCH.sequences, BATCH.length], "int32");
  const causal = Float32Array.from({ length: BATCH.length ** 2 }, (_, i) =>
    i % BATCH.length > Math.floor(i / BATCH.length) ? -1e9 : 0,
  );
  const constants = {
    cos: table(cos),
    sin: table(sin),
    mask: tf.tensor(causal, [BATCH.length, BATCH.length]),
    ids,
    targets: tf.oneHot(ids.slice([0, 1]), MODEL.vocab_size),
  };
  let variables = null;
  let optimizer = null;
  function fresh() {
    variables?.forEach((variable) => variable.dispose());
    optimizer?.dispose();
    variables = new Map(Array.from(initial, ([name, p]) => [name, tf.variable(tf.tensor(p.data, p.shape))]));
    optimizer = tf.train.adam(ADAM.learningRate, ADAM.beta1, ADAM.beta2, ADAM.eps);
  }
  async function step() {
    const value = tf.tidy(() => {
      const gradients = tf.variableGrads(() => loss(variables, constants), [...variables.values()]);
      optimizer.applyGradients(gradients.grads);
      return gradients.value;
    });
    const [number] = await value.data();
    value.dispose();
    return number;
  }
  return {
    async run(repeats) {
      if (!variables) fresh();
      for (let i = 0; i < repeats; i++) await step();
    },
    async check() {
      fresh();
      let last = 0;
      for (let i = 0; i < data.CHECKED_STEPS; i++) last = await step();
      return last;
    },
  };
}

/** Mean cross-entropy of the next tokens. */
function loss(params, { cos, sin, mask, ids, targets }) {
  const { sequences, length } = BATCH;
  const V = MODEL.vocab_size;
  let x = tf.gather(params.get("model.embed_tokens.weight"), ids);
  for (let layer = 0; layer < MODEL.num_hidden_layers; layer++) x = decoderLayer(params, layer, x, cos, sin, mask);
  const hidden = normalize(x, params.get("model.norm.weight"));
  const logits = linear(hidden, params.get("lm_head.weight")).slice([0, 0, 0], [sequences, length - 1, V]);
  return tf
    .logSoftmax(logits)
    .mul(targets)
    .sum()
    .div(-sequences * (length - 1));
}

/** As one matrix product: a batched one would copy the weight for every sequence. */
function linear(x, weight) {
  const [B, L, C] = x.shape;
  return tf.matMul(x.reshape([B * L, C]), weight, false, true).reshape([B, L, weight.shape[0]]);
}

function decoderLayer(params, layer, x, cos, sin, mask) {
  const p = (name) => params.get(`model.layers.${layer}.${name}`);
  const { num_attention_heads: H, num_key_value_heads: G, head_dim: D } = MODEL;
  const { sequences: B, length: L } = BATCH;
  const normed = normalize(x, p("input_layernorm.weight"));
  const heads = (name, count) =>
    linear(normed, p(`self_attn.${name}_proj.weight`))
      .add(p(`self_attn.${name}_proj.bias`))
      .reshape([B, L, count, D]);
  // [B, G, H / G * L, D]: the queries of a group's heads meet the group's keys in one product.
  const q = rotate(heads("q", H), cos, sin)
    .reshape([B, L, G, H / G, D])
    .transpose([0, 2, 3, 1, 4]);
  const k = rotate(heads("k", G), cos, sin).transpose([0, 2, 1, 3]);
  const v = heads("v", G).transpose([0, 2, 1, 3]);
  const scores = tf.matMul(q.reshape([B, G, (H / G) * L, D]), k, false, true).mul(1 / Math.sqrt(D));
  const weights = tf.softmax(scores.reshape([B, G, H / G, L, L]).add(mask));
  const attended = tf.matMul(weights.reshape([B, G, (H / G) * L, L]), v);
  const merged = attended
    .reshape([B, G, H / G, L, D])
    .transpose([0, 3, 1, 2, 4])
    .reshape([B, L, H * D]);
  const middle = x.add(linear(merged, p("self_attn.o_proj.weight")));
  const y = normalize(middle, p("post_attention_layernorm.weight"));
  const gate = linear(y, p("mlp.gate_proj.weight"));
  const activated = gate.mul(tf.sigmoid(gate)).mul(linear(y, p("mlp.up_proj.weight")));
  return middle.add(linear(activated, p("mlp.down_proj.weight")));
}

function rotate(x, cos, sin) {
  const [first, second] = tf.split(x, 2, -1);
  return tf.concat([first.mul(cos).sub(second.mul(sin)), second.mul(cos).add(first.mul(sin))], -1);
}
