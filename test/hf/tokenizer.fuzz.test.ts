import { readFileSync } from "node:fs";
import { loadTokenizer } from "../../src/hf/tokenizer.ts";
import { stopTokenIds } from "../../src/hf/generation-config.ts";
import { deadline } from "../../src/runtime/deadline.ts";
import { byteFallbackJson, byteLevelJson } from "../helpers/tokenizers.ts";
import { type FuzzRandom, fuzz, memoryFiles } from "../helpers/fuzz.ts";

const reasoner = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../models/reasoner/${name}`, import.meta.url), "utf8"));

/** Parts that the three below lack. */
const PARTS = [
  { type: "NFKC" },
  { type: "Lowercase" },
  { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
  { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
  {
    type: "Split",
    pattern: { Regex: "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+|\\s+" },
    behavior: "Isolated",
    invert: false,
  },
  { type: "Digits", individual_digits: true },
  { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true },
  { type: "Punctuation", behavior: "Isolated" },
  { type: "WordPiece", prefix: "##", cleanup: true },
  {
    type: "Sequence",
    normalizers: [{ type: "Strip", strip_left: true, strip_right: true }],
    decoders: [],
    pretokenizers: [],
  },
];
const tokenizers = [reasoner("tokenizer.json"), byteLevelJson(), byteFallbackJson()] as Record<string, unknown>[];
const config = reasoner("tokenizer_config.json") as Record<string, unknown>;
const TEXTS = [
  "",
  "7+8-5=?",
  "<|user|>7+8<|end|>",
  "a  é你\n🙂\u0000",
  "\ud800",
  "\ufeffx",
  "ab ".repeat(300),
  "1".repeat(500),
];
const SECONDS = 0.5;

function broken(random: FuzzRandom): unknown {
  const json = structuredClone(random.pick(tokenizers));
  for (const place of ["normalizer", "pre_tokenizer", "decoder"])
    if (random.below(3) === 0) json[place] = random.pick(PARTS);
  return random.below(8) === 0 ? json : random.mutateJson(json);
}

fuzz("tokenizer", async (random) => {
  const text = JSON.stringify(broken(random));
  const files = memoryFiles({
    "m/tokenizer.json": random.below(4) === 0 ? random.mutateText(text) : text,
    "m/tokenizer_config.json": JSON.stringify(random.below(2) === 0 ? config : random.mutateJson(config)),
    "m/generation_config.json": JSON.stringify(random.mutateJson({ eos_token_id: [4, 5] })),
  });
  const tokenizer = await loadTokenizer(files, "m", deadline(SECONDS));
  const prompt = tokenizer.literal(random.pick(TEXTS));
  const ids = tokenizer.encode(prompt, { addSpecialTokens: random.below(2) === 0 });
  tokenizer.decode(ids, { skipSpecialTokens: random.below(2) === 0 });
  await stopTokenIds(files, "m", { eosTokenIds: [4], vocabSize: 100 }, tokenizer);
});

const TEMPLATES = [
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, n=0) %}{{ bos_token }}{%- for m in messages %}{%- if m.role == 'user' -%}{{ '<|user|>' + m.content | trim }}{%- elif '</think>' in m.content -%}{{ m.content.split('</think>')[-1] }}{%- endif -%}{% set ns.n = ns.n + 1 %}{%- endfor -%}",
  "{%- macro f(x, y=2) -%}{{ x ~ y }}{%- endmacro -%}{% for i in range(3) %}{{ f(i) }}{{ loop.index0 }}{% endfor %}{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join(',') | upper }}{{ messages | tojson }}{{ messages[::-1] | length }}",
];
const PIECES = [
  "{%",
  "%}",
  "{{",
  "}}",
  "-%}",
  "{%-",
  "{#",
  "#}",
  " for x in ",
  " endfor ",
  " if ",
  " else ",
  " endif ",
  " set s = ",
  "s + s",

  "range(99999)",
  "range(1e12)",
  "messages",
  "[0]",
  ".content",
  " | ",
  "join",
  "replace('a', 'aaaaaaaa')",
  "loop",
  "(",
  ")",
  "'",
  "~",

  "namespace(s='ab')",
  " macro f() ",
  "f()",
  " endmacro ",
  "**",
  "9999",
  "//",
  "%",
  "0",
  "none",
  "true",
  "[",
  "]",
  "{",
  "}",
  ":",
];

fuzz("template", async (random) => {
  const template = random.pick(TEMPLATES);
  const kind = random.below(3);
  const at = random.below(template.length);
  const source =
    kind === 0
      ? random.mutateText(template)
      : kind === 1
        ? random.text(PIECES, 24)
        : template.slice(0, at) + random.text(PIECES, 4) + template.slice(at);
  const files = memoryFiles({
    "m/tokenizer.json": JSON.stringify(tokenizers[0]),
    "m/chat_template.jinja": source,
    "m/tokenizer_config.json": JSON.stringify(config),
  });
  const tokenizer = await loadTokenizer(files, "m", deadline(SECONDS));
  const messages = [
    { role: "system", content: "s" },
    { role: "user", content: tokenizer.literal(random.pick(TEXTS)) },
  ];
  tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
});
