import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { openWeights } from "../../src/hf/checkpoint.ts";
import { parameterShapes, parseModelConfig, ropeTable } from "../../src/model/config.ts";
import { files } from "../helpers/host.ts";

/** Qwen2.5-0.5B as it is on the hub, in the spelling before transformers 5. */
const QWEN2 = {
  architectures: ["Qwen2ForCausalLM"],
  bos_token_id: 151643,
  eos_token_id: 151645,
  hidden_act: "silu",
  hidden_size: 896,
  intermediate_size: 4864,
  max_position_embeddings: 32768,
  max_window_layers: 21,
  model_type: "qwen2",
  num_attention_heads: 14,
  num_hidden_layers: 24,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000.0,
  sliding_window: 32768,
  tie_word_embeddings: true,
  use_sliding_window: false,
  vocab_size: 151936,
};
const LLAMA3_SCALING = {
  factor: 8.0,
  low_freq_factor: 1.0,
  high_freq_factor: 4.0,
  original_max_position_embeddings: 8192,
};
/** Llama-3.1's rope. */
const LLAMA = {
  ...QWEN2,
  model_type: "llama",
  sliding_window: undefined,
  rope_theta: 500000,
  rope_scaling: { rope_type: "llama3", ...LLAMA3_SCALING },
};

const parse = (json: unknown) => parseModelConfig(json, "m/config.json");
const product = (shape: number[]) => shape.reduce((a, b) => a * b, 1);

describe("config.json", () => {
  test("Qwen2.5-0.5B", () => {
    const config = parse(QWEN2);
    expect(config).toMatchObject({
      modelType: "qwen2",
      headDim: 64,
      numKvHeads: 2,
      ropeTheta: 1e6,
      ropeScaling: null,
      tieWordEmbeddings: true,
      attentionBias: { qkv: true, o: false },
      qkNorm: false,
      eosTokenIds: [151645],
    });
    const count = [...parameterShapes(config).values()].reduce((sum, shape) => sum + product(shape), 0);
    expect(count).toBe(494_032_768); // as the model's card says: 0.49B
  });

  test("both spellings of rope mean the same", () => {
    const { rope_theta, rope_scaling, ...rest } = LLAMA;
    const v5 = parse({ ...rest, rope_parameters: { rope_theta, ...rope_scaling } });
    const old = parse({ ...rest, rope_theta, rope_scaling: { type: "llama3", ...LLAMA3_SCALING } });
    for (const config of [v5, old, parse(LLAMA)]) {
      expect(config.ropeTheta).toBe(500000);
      expect(config.ropeScaling).toEqual({
        factor: 8,
        lowFreqFactor: 1,
        highFreqFactor: 4,
        originalMaxPositionEmbeddings: 8192,
      });
    }
    expect(parse({ ...rest, rope_theta: 5, rope_parameters: null, rope_scaling: null })).toMatchObject({
      ropeTheta: 5,
      ropeScaling: null,
    });
  });

  test("biases, norms and the head are those of the architecture", () => {
    const bias = { attention_bias: true, mlp_bias: true };
    expect(parse({ ...LLAMA, ...bias })).toMatchObject({ attentionBias: { qkv: true, o: true }, mlpBias: true });
    expect(parse(LLAMA)).toMatchObject({ attentionBias: { qkv: false, o: false }, mlpBias: false });
    expect(parse({ ...QWEN2, ...bias })).toMatchObject({ attentionBias: { qkv: true, o: false }, mlpBias: false });
    const qwen3 = parse({ ...QWEN2, model_type: "qwen3", tie_word_embeddings: false });
    expect(qwen3).toMatchObject({ qkNorm: true, headDim: 128, attentionBias: { qkv: false, o: false } });
    const shapes = parameterShapes(qwen3);
    expect(shapes.get("model.layers.23.self_attn.q_norm.weight")).toEqual([128]);
    expect(shapes.get("model.layers.0.self_attn.q_proj.weight")).toEqual([14 * 128, 896]);
    expect(shapes.get("model.layers.0.self_attn.o_proj.weight")).toEqual([896, 14 * 128]);
    expect(shapes.get("lm_head.weight")).toEqual([151936, 896]);
    expect(parameterShapes(parse(QWEN2)).has("lm_head.weight")).toBe(false);
  });

  test("several end tokens, a window that no layer uses", () => {
    expect(parse({ ...QWEN2, eos_token_id: [1, 2] }).eosTokenIds).toEqual([1, 2]);
    const windowed = { ...QWEN2, use_sliding_window: true, sliding_window: 8 };
    for (const settings of [
      { ...windowed, max_window_layers: 24 },
      { ...windowed, max_window_layers: undefined },
      { ...windowed, sliding_window: null, max_window_layers: 0 },
      { ...windowed, max_window_layers: 0, sliding_window: QWEN2.max_position_embeddings },
      { ...windowed, max_window_layers: 0, layer_types: Array(24).fill("full_attention") },
      { ...QWEN2, sliding_window: 8 },
    ])
      expect(parse(settings).numLayers).toBe(24);
  });

  test("rope_theta beside the scaling comes before the one at the top", () => {
    const { rope_theta: _, ...rest } = QWEN2;
    const scaling = { rope_type: "default", rope_theta: 7 };
    expect(parse({ ...rest, rope_scaling: scaling }).ropeTheta).toBe(7);
    expect(parse({ ...QWEN2, rope_scaling: scaling }).ropeTheta).toBe(7);
    expect(parse({ ...rest, rope_parameters: scaling }).ropeTheta).toBe(7);
  });

  test.each<[string, unknown, RegExp]>([
    ["not an object", [], /JSON object/],
    ["unknown architecture", { ...QWEN2, model_type: "gpt2" }, /qwen2, qwen3, llama, got "gpt2"/],
    ["no architecture", {}, /model_type/],
    ["another activation", { ...QWEN2, hidden_act: "gelu" }, /hidden_act silu, got "gelu"/],
    [
      "a window in use",
      { ...QWEN2, use_sliding_window: true, sliding_window: 8, max_window_layers: 1 },
      /sliding-window/,
    ],
    [
      "a layer with a window",
      { ...QWEN2, layer_types: ["full_attention", "sliding_attention"], sliding_window: 4 },
      /sliding-window/,
    ],
    ["quantised weights", { ...QWEN2, quantization_config: { quant_method: "gptq" } }, /quantised/],
    ["yarn", { ...QWEN2, rope_scaling: { type: "yarn", factor: 4 } }, /default or llama3, got "yarn"/],
    ["rope scaling that is text", { ...QWEN2, rope_scaling: "linear" }, /rope_scaling/],
    ["rope for each kind of layer", { ...QWEN2, rope_parameters: { full_attention: {} } }, /rope_parameters/],
    ["a part of the head rotated", { ...QWEN2, partial_rotary_factor: 0.5 }, /partial_rotary_factor 1, got 0.5/],
    ["llama3 without its factor", { ...LLAMA, rope_scaling: { rope_type: "llama3" } }, /factor/],
    ["heads that do not divide", { ...QWEN2, num_key_value_heads: 4 }, /multiple of num_key_value_heads, got 14 and 4/],
    ["a head size that is no whole number", { ...QWEN2, hidden_size: 900 }, /head_dim/],
    ["an odd head size", { ...QWEN2, head_dim: 63 }, /even head_dim, got 63/],
    ["an odd hidden size", { ...QWEN2, hidden_size: 895 }, /even hidden_size/],
    ["an odd intermediate size", { ...QWEN2, intermediate_size: 4863 }, /even intermediate_size/],
    ["no layers", { ...QWEN2, num_hidden_layers: 0 }, /num_hidden_layers/],
    ["a million layers", { ...QWEN2, num_hidden_layers: 1e6 }, /num_hidden_layers .* 1 to 1024/],
    ["a negative vocabulary", { ...QWEN2, vocab_size: -5 }, /vocab_size/],
    ["a vocabulary of text", { ...QWEN2, vocab_size: "32000" }, /vocab_size/],
    ["a hidden size beyond reason", { ...QWEN2, hidden_size: 2 ** 30 }, /hidden_size/],
    ["an epsilon of 0", { ...QWEN2, rms_norm_eps: 0 }, /rms_norm_eps/],
    ["a theta below 0", { ...QWEN2, rope_theta: -1 }, /rope_theta/],
  ])("refused: %s", (_, json, message) => {
    let error: unknown;
    try {
      parse(json);
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(FormatError);
    expect((error as FormatError).message).toMatch(message);
    expect((error as FormatError).message).toMatch(/^m\/config\.json: [^\n]*$/);
  });
});

describe("the rope table", () => {
  test("cosines, then sines, of position x theta^(-2i/d)", () => {
    const table = ropeTable(parse(QWEN2), 7);
    expect(table.length).toBe(7 * 64);
    for (const [p, i] of [
      [0, 0],
      [6, 0],
      [5, 3],
      [6, 31],
    ] as const) {
      const angle = p / 1e6 ** (i / 32);
      expect(table[p * 64 + i]).toBe(Math.fround(Math.cos(angle)));
      expect(table[p * 64 + 32 + i]).toBe(Math.fround(Math.sin(angle)));
    }
  });

  test("llama3 keeps short wavelengths, stretches long ones, and lies between otherwise", () => {
    const [plain, scaled] = [parse({ ...LLAMA, rope_scaling: null }), parse(LLAMA)].map((config) =>
      ropeTable(config, 2),
    );
    // The angle of position 1 is the frequency; all are at most 1.
    const ratios = Array.from({ length: 32 }, (_, i) => Math.asin(scaled![96 + i]!) / Math.asin(plain![96 + i]!));
    for (const [i, ratio] of ratios.entries()) {
      const wavelength = 2 * Math.PI * 500000 ** (i / 32);
      if (wavelength < 8192 / 4) expect(ratio).toBeCloseTo(1, 5);
      else if (wavelength > 8192) expect(ratio).toBeCloseTo(1 / 8, 5);
      else {
        expect(ratio).toBeGreaterThan(1 / 8);
        expect(ratio).toBeLessThan(1);
      }
    }
    // transformers' formula for wavelength = 8192 / 2: smooth = (2 - 1) / (4 - 1), so 2/3 / 8 + 1/3.
    const theta = (8192 / 2 / (2 * Math.PI)) ** 32; // frequency 1 of 32 has that wavelength
    const one = ropeTable(parse({ ...LLAMA, rope_theta: theta }), 2);
    expect(Math.asin(one[96 + 1]!) / ((4 * Math.PI) / 8192)).toBeCloseTo(2 / 3 / 8 + 1 / 3, 5);
  });
});

const committed = new URL("../fixtures/transformers", import.meta.url).pathname;
const shared = new URL("../../../shared", import.meta.url).pathname;
const collections = [committed, `${shared}/fixtures/transformers`];
const folders = (
  await Promise.all(
    collections.map(async (root) =>
      (await files.exists(root)) ? (await files.list(root)).map((name) => `${root}/${name}`) : [],
    ),
  )
)
  .flat()
  .concat(`${shared}/models/stories260k`, new URL("../../models/reasoner", import.meta.url).pathname);
const models: string[] = [];
for (const dir of folders) {
  if ((await files.exists(`${dir}/config.json`)) && (await files.exists(`${dir}/model.safetensors`))) models.push(dir);
}

test.each(models.map((dir) => [dir.split("/").slice(-3).join("/"), dir]))(
  "%s holds exactly the parameters that its config.json implies",
  async (_, dir) => {
    const config = parseModelConfig(JSON.parse(await files.readText(`${dir}/config.json`)), dir);
    const weights = await openWeights(files, dir);
    const found = Object.fromEntries(weights.names.map((name) => [name, weights.shape(name)]));
    expect(found).toEqual(Object.fromEntries(parameterShapes(config)));
  },
);
