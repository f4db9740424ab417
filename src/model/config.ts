import { FormatError } from "../errors.ts";
import { brief } from "../hf/json.ts";

const MODEL_TYPES = ["qwen2", "qwen3", "llama"] as const;
export type ModelType = (typeof MODEL_TYPES)[number];

/** "llama3" rope scaling: long wavelengths are stretched by `factor`, short ones kept, those between interpolated. */
export interface RopeScaling {
  factor: number;
  lowFreqFactor: number;
  highFreqFactor: number;
  originalMaxPositionEmbeddings: number;
}

/** What the engine needs of a Hugging Face config.json; `raw` is the file itself, for saving it back. */
export interface ModelConfig {
  modelType: ModelType;
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  rmsNormEps: number;
  ropeTheta: number;
  ropeScaling: RopeScaling | null;
  tieWordEmbeddings: boolean;
  /** Biases of the query, key and value projections, and of the output projection. */
  attentionBias: { qkv: boolean; o: boolean };
  mlpBias: boolean;
  /** Norms on each query and key head (Qwen3). */
  qkNorm: boolean;
  maxPositionEmbeddings: number;
  bosTokenId: number | null;
  eosTokenIds: number[];
  raw: Record<string, unknown>;
}

type Json = Record<string, unknown>;

/** Reads config.json in the old spelling (`rope_theta`, `rope_scaling`) and in that of transformers 5 (`rope_parameters`). */
export function parseModelConfig(json: unknown, source: string): ModelConfig {
  const fail = (message: string): never => {
    throw new FormatError(`${source}: ${message}`);
  };
  if (typeof json !== "object" || json === null || Array.isArray(json)) return fail("expected a JSON object");
  const raw = json as Json;

  const modelType = MODEL_TYPES.find((type) => type === raw["model_type"]);
  if (!modelType)
    return fail(`expected model_type to be one of ${MODEL_TYPES.join(", ")}, got ${brief(raw["model_type"])}`);

  const size = (key: string, fallback?: number, max = 2 ** 24): number => {
    const value = raw[key] ?? fallback;
    if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > max) {
      return fail(`expected ${key} to be a whole number from 1 to ${max}, got ${brief(value)}`);
    }
    return value as number;
  };
  const evenSize = (key: string, fallback?: number): number => {
    const value = size(key, fallback);
    return value % 2 === 0 ? value : fail(`expected an even ${key}, got ${value}; the kernels take numbers in pairs`);
  };
  const positive = (object: Json, key: string, fallback?: number): number => {
    const value = object[key] ?? fallback;
    return typeof value === "number" && value > 0 && Number.isFinite(value)
      ? value
      : fail(`expected ${key} to be a positive number, got ${brief(value)}`);
  };

  const activation = raw["hidden_act"] ?? "silu";
  if (activation !== "silu") fail(`expected hidden_act silu, got ${brief(activation)}`);
  if (raw["quantization_config"]) fail("quantised weights are not supported; take the unquantised model");
  const numLayers = size("num_hidden_layers", undefined, 1024);
  const maxPositionEmbeddings = size("max_position_embeddings", 2048);
  if (windowedLayers(raw, modelType, numLayers) && !(Number(raw["sliding_window"]) >= maxPositionEmbeddings))
    fail(`sliding-window attention is not supported, got a window of ${brief(raw["sliding_window"])} tokens`);

  const hiddenSize = evenSize("hidden_size");
  const numHeads = size("num_attention_heads", undefined, 4096);
  const numKvHeads = size("num_key_value_heads", numHeads);
  if (numHeads % numKvHeads !== 0) {
    fail(`expected num_attention_heads to be a multiple of num_key_value_heads, got ${numHeads} and ${numKvHeads}`);
  }
  // Qwen3's own default; the others divide the hidden size among the heads.
  const headDim = evenSize("head_dim", modelType === "qwen3" ? 128 : hiddenSize / numHeads);
  const { theta, scaling } = parseRope(raw, positive, fail);
  const eos = raw["eos_token_id"];
  return {
    modelType,
    vocabSize: size("vocab_size"),
    hiddenSize,
    intermediateSize: evenSize("intermediate_size"),
    numLayers,
    numHeads,
    numKvHeads,
    headDim,
    rmsNormEps: positive(raw, "rms_norm_eps", 1e-6),
    ropeTheta: theta,
    ropeScaling: scaling,
    tieWordEmbeddings: raw["tie_word_embeddings"] === true,
    attentionBias: {
      qkv: modelType === "qwen2" || raw["attention_bias"] === true,
      o: modelType !== "qwen2" && raw["attention_bias"] === true,
    },
    mlpBias: modelType === "llama" && raw["mlp_bias"] === true,
    qkNorm: modelType === "qwen3",
    maxPositionEmbeddings,
    bosTokenId: typeof raw["bos_token_id"] === "number" ? raw["bos_token_id"] : null,
    eosTokenIds: (Array.isArray(eos) ? eos : [eos]).filter((id): id is number => typeof id === "number"),
    raw,
  };
}

/** Qwen's default for max_window_layers: layers from that one on have the window. */
const MAX_WINDOW_LAYERS = 28;

/** Whether any layer attends through a sliding window (transformers' rules for these model types). */
function windowedLayers(raw: Json, modelType: ModelType, numLayers: number): boolean {
  const types = raw["layer_types"];
  if (Array.isArray(types)) return types.some((type) => type !== "full_attention");
  const window = raw["sliding_window"] ?? null;
  if (modelType === "llama") return window !== null;
  return (
    raw["use_sliding_window"] === true &&
    window !== null &&
    Number(raw["max_window_layers"] ?? MAX_WINDOW_LAYERS) < numLayers
  );
}

function parseRope(
  raw: Json,
  positive: (object: Json, key: string, fallback?: number) => number,
  fail: (message: string) => never,
): { theta: number; scaling: RopeScaling | null } {
  const object = (key: string): Json | undefined => {
    const value = raw[key] ?? undefined;
    // transformers 5 nests one object for each kind of layer where kinds differ.
    const flat = typeof value === "object" && !Array.isArray(value) && !("full_attention" in value);
    return value === undefined || flat
      ? (value as Json | undefined)
      : fail(`expected ${key} to be one set of rope settings, got ${brief(value)}`);
  };
  const parameters = object("rope_parameters") ?? {};
  const scaling = object("rope_scaling") ?? parameters;
  // transformers 5 keeps these beside the scaling, where they come before those at the top.
  const rope = { ...raw, ...parameters, ...scaling };
  const theta = positive(rope, "rope_theta", 10000);
  const rotated = rope["partial_rotary_factor"] ?? 1;
  if (rotated !== 1) fail(`expected partial_rotary_factor 1, got ${brief(rotated)}`);
  const type = scaling["rope_type"] ?? scaling["type"] ?? "default";
  if (type === "default") return { theta, scaling: null };
  if (type !== "llama3") return fail(`expected rope type default or llama3, got ${brief(type)}`);
  return {
    theta,
    scaling: {
      factor: positive(scaling, "factor"),
      lowFreqFactor: positive(scaling, "low_freq_factor"),
      highFreqFactor: positive(scaling, "high_freq_factor"),
      originalMaxPositionEmbeddings: positive(scaling, "original_max_position_embeddings"),
    },
  };
}

/** Every parameter's shape under its Hugging Face name; a tied head is not listed. */
export function parameterShapes(config: ModelConfig): Map<string, number[]> {
  const { vocabSize, hiddenSize, intermediateSize, numHeads, numKvHeads, headDim, attentionBias, mlpBias } = config;
  const shapes = new Map<string, number[]>([["model.embed_tokens.weight", [vocabSize, hiddenSize]]]);
  for (let layer = 0; layer < config.numLayers; layer++) {
    const add = (name: string, shape: number[]) => shapes.set(`model.layers.${layer}.${name}`, shape);
    const addLinear = (name: string, outputs: number, inputs: number, bias: boolean) => {
      add(`${name}.weight`, [outputs, inputs]);
      if (bias) add(`${name}.bias`, [outputs]);
    };
    add("input_layernorm.weight", [hiddenSize]);
    addLinear("self_attn.q_proj", numHeads * headDim, hiddenSize, attentionBias.qkv);
    addLinear("self_attn.k_proj", numKvHeads * headDim, hiddenSize, attentionBias.qkv);
    addLinear("self_attn.v_proj", numKvHeads * headDim, hiddenSize, attentionBias.qkv);
    addLinear("self_attn.o_proj", hiddenSize, numHeads * headDim, attentionBias.o);
    if (config.qkNorm) {
      add("self_attn.q_norm.weight", [headDim]);
      add("self_attn.k_norm.weight", [headDim]);
    }
    add("post_attention_layernorm.weight", [hiddenSize]);
    addLinear("mlp.gate_proj", intermediateSize, hiddenSize, mlpBias);
    addLinear("mlp.up_proj", intermediateSize, hiddenSize, mlpBias);
    addLinear("mlp.down_proj", hiddenSize, intermediateSize, mlpBias);
  }
  shapes.set("model.norm.weight", [hiddenSize]);
  if (!config.tieWordEmbeddings) shapes.set("lm_head.weight", [vocabSize, hiddenSize]);
  return shapes;
}

/** [positions, headDim]: the cosines of position x frequency in a row's first half, the sines in its second. */
export function ropeTable(config: ModelConfig, positions: number): Float32Array {
  const half = config.headDim / 2;
  const frequencies = Array.from({ length: half }, (_, i) => ropeFrequency(config, i));
  const table = new Float32Array(positions * config.headDim);
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < half; i++) {
      table[p * config.headDim + i] = Math.cos(p * frequencies[i]!);
      table[p * config.headDim + half + i] = Math.sin(p * frequencies[i]!);
    }
  }
  return table;
}

function ropeFrequency({ ropeTheta, headDim, ropeScaling }: ModelConfig, i: number): number {
  const frequency = ropeTheta ** ((-2 * i) / headDim);
  if (!ropeScaling) return frequency;
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = ropeScaling;
  const turns = (originalMaxPositionEmbeddings * frequency) / (2 * Math.PI);
  if (turns < lowFreqFactor) return frequency / factor;
  if (turns > highFreqFactor) return frequency;
  const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}
