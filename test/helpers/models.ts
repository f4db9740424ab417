import { parseModelConfig, type ModelConfig } from "../../src/model/config.ts";

/** A small Qwen2-like model; with `layers` and `vocab` small enough for a software adapter. */
export function tinyConfig(overrides: Record<string, unknown> = {}): ModelConfig {
  return parseModelConfig(
    {
      architectures: ["Qwen2ForCausalLM"],
      model_type: "qwen2",
      vocab_size: 37,
      hidden_size: 32,
      intermediate_size: 48,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      max_position_embeddings: 256,
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      tie_word_embeddings: true,
      hidden_act: "silu",
      eos_token_id: 0,
      ...overrides,
    },
    "test",
  );
}
