/** What every library is asked to do, and the numbers that it starts from: the same in all of them, so that results can be compared. */

export const MATMULS = [512, 1024];
export const ROWS = { rows: 4096, columns: 1024 };
export const NORM_EPS = 1e-6;

/** A small Qwen2 model, and how it is trained: a step is 16 sequences of 128 tokens. */
export const MODEL = {
  vocab_size: 128,
  hidden_size: 128,
  intermediate_size: 344,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  max_position_embeddings: 128,
  rms_norm_eps: NORM_EPS,
  rope_theta: 10000,
  tie_word_embeddings: false,
};
export const BATCH = { sequences: 16, length: 128 };
/** AdamW without weight decay, which is Adam: TensorFlow.js has no other. */
export const ADAM = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
/** Steps after which the libraries' losses are compared. */
export const CHECKED_STEPS = 3;

/** Shapes [outputs, inputs] of the weights by their Hugging Face names, as `model.layers.<i>.` has them. */
export function parameterShapes(): Map<string, number[]> {
  const { vocab_size: V, hidden_size: C, intermediate_size: I, num_key_value_heads: G, head_dim: D } = MODEL;
  const H = MODEL.num_attention_heads;
  const shapes: [name: string, shape: number[]][] = [["model.embed_tokens.weight", [V, C]]];
  for (let layer = 0; layer < MODEL.num_hidden_layers; layer++) {
    const add = (name: string, shape: number[]) => shapes.push([`model.layers.${layer}.${name}`, shape]);
    add("input_layernorm.weight", [C]);
    for (const [name, heads] of Object.entries({ q: H, k: G, v: G })) {
      add(`self_attn.${name}_proj.weight`, [heads * D, C]);
      add(`self_attn.${name}_proj.bias`, [heads * D]);
    }
    add("self_attn.o_proj.weight", [C, H * D]);
    add("post_attention_layernorm.weight", [C]);
    add("mlp.gate_proj.weight", [I, C]);
    add("mlp.up_proj.weight", [I, C]);
    add("mlp.down_proj.weight", [C, I]);
  }
  shapes.push(["model.norm.weight", [C]], ["lm_head.weight", [V, C]]);
  return new Map(shapes);
}

const hash = (index: number): number => {
  let x = Math.imul(index ^ (index >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
};

/** `count` numbers spread evenly over -scale to scale, a function of seed and index alone. */
export function uniform(seed: number, count: number, scale: number): Float32Array<ArrayBuffer> {
  const start = Math.imul(seed, 0x9e3779b9);
  return Float32Array.from({ length: count }, (_, i) => scale * (hash((start + i) | 0) / 2 ** 31 - 1));
}

/** The weights by name: norms 1, biases 0, the others of standard deviation 0.02. */
export function parameters(): Map<string, { shape: number[]; data: Float32Array<ArrayBuffer> }> {
  let seed = 100;
  return new Map(
    Array.from(parameterShapes(), ([name, shape]) => {
      const count = shape.reduce((a, b) => a * b, 1);
      seed++;
      const isMatrix = name.endsWith("proj.weight") || name.endsWith("tokens.weight") || name.startsWith("lm_head");
      const values = isMatrix ? uniform(seed, count, 0.02 * Math.sqrt(3)) : new Float32Array(count);
      return [name, { shape, data: name.endsWith("norm.weight") ? values.fill(1) : values }];
    }),
  );
}

/** [sequences * length] token ids. */
export function tokens(): Int32Array<ArrayBuffer> {
  const { sequences, length } = BATCH;
  const values = uniform(7, sequences * length, 0.5);
  return Int32Array.from(values, (v) => Math.min(MODEL.vocab_size - 1, Math.floor((v + 0.5) * MODEL.vocab_size)));
}

/** Cosines and sines of the rotary embedding, [length, head_dim / 2] each. */
export function rotary(): { cos: Float32Array<ArrayBuffer>; sin: Float32Array<ArrayBuffer> } {
  const half = MODEL.head_dim / 2;
  const angles = Float64Array.from({ length: BATCH.length * half }, (_, i) => {
    const k = i % half;
    return Math.floor(i / half) * MODEL.rope_theta ** (-k / half);
  });
  return { cos: Float32Array.from(angles, (a) => Math.cos(a)), sin: Float32Array.from(angles, (a) => Math.sin(a)) };
}

export const matmulInputs = (size: number) =>
  [uniform(1, size * size, 1), uniform(2, size * size, 1 / Math.sqrt(size))] as const;
export const rowInput = () => uniform(3, ROWS.rows * ROWS.columns, 4);
export const normWeight = () => uniform(4, ROWS.columns, 1);

/** One number that stands for a result: a weighted sum, which a misplaced element changes. */
export function digest(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * (1 + (i % 97) / 97);
  return sum;
}
