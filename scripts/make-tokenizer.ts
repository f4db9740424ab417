/**
 * Writes the bundled reasoner's tokenizer and the files beside it, all but the weights: `node scripts/make-tokenizer.ts`.
 *
 * Every printable ASCII character is a token, so digits are single tokens; the words of the demonstrations (with the space
 * before them) are too. There are no merges: a regular expression cuts the text, and `ignore_merges` looks the pieces up.
 * What is not in the vocabulary becomes <|unk|>.
 */
import { writeFileSync } from "node:fs";
import { WORDS } from "../src/tasks/arithmetic-chains.ts";

const SPECIAL = ["<|pad|>", "<|unk|>", "<|user|>", "<|assistant|>", "<|end|>"];
const [pad, unk, , , end] = SPECIAL;
const ascii = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i));
const tokens = [...SPECIAL, "\n", ...ascii, ...WORDS];
const contextLength = 512;

const escaped = WORDS.toSorted((a, b) => b.length - a.length || (a < b ? -1 : 1)).map((word) =>
  word.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&"),
);

const tokenizer = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: SPECIAL.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: {
    type: "Split",
    pattern: { Regex: [...escaped, "[\\s\\S]"].join("|") },
    behavior: "Isolated",
    invert: false,
  },
  post_processor: null,
  decoder: { type: "Fuse" },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: unk,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: true,
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges: [],
  },
};

const tokenizerConfig = {
  tokenizer_class: "PreTrainedTokenizerFast",
  pad_token: pad,
  unk_token: unk,
  eos_token: end,
  model_max_length: contextLength,
  clean_up_tokenization_spaces: false,
  chat_template:
    "{%- for message in messages -%}<|{{ message['role'] }}|>{{ message['content'] }}" +
    "{%- if message['role'] == 'assistant' -%}<|end|>{%- endif -%}{%- endfor -%}" +
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}",
};

const config = {
  architectures: ["Qwen2ForCausalLM"],
  model_type: "qwen2",
  vocab_size: tokens.length,
  hidden_size: 64,
  intermediate_size: 192,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_act: "silu",
  max_position_embeddings: contextLength,
  rope_theta: 10000.0,
  rms_norm_eps: 1e-6,
  initializer_range: 0.06,
  tie_word_embeddings: true,
  use_sliding_window: false,
  attention_dropout: 0.0,
  bos_token_id: null,
  pad_token_id: 0,
  eos_token_id: SPECIAL.length - 1,
  torch_dtype: "bfloat16",
};

const generationConfig = { do_sample: true, temperature: 1.0, eos_token_id: SPECIAL.length - 1, pad_token_id: 0 };

const files = {
  "tokenizer.json": tokenizer,
  "tokenizer_config.json": tokenizerConfig,
  "config.json": config,
  "generation_config.json": generationConfig,
};
for (const [name, content] of Object.entries(files)) {
  writeFileSync(new URL(`../models/reasoner/${name}`, import.meta.url), `${JSON.stringify(content, null, 2)}\n`);
}
