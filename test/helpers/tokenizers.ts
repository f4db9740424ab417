const SPECIAL = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };

/** GPT-2's alphabet of bytes: printable ones are themselves, the others characters from 256 on. */
const byteCharacters = (() => {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
})();

/** A token for each byte, as in Qwen's and GPT-2's vocabularies without merges; 256 is special. */
export const byteLevelJson = () => ({
  version: "1.0",
  added_tokens: [{ id: 256, content: "<|end|>", ...SPECIAL }],
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
  post_processor: null,
  decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
  model: { type: "BPE", vocab: Object.fromEntries(byteCharacters.map((c, id) => [c, id])), merges: [] },
});

/** Llama 2's kind: pieces with ▁ for spaces, bytes as <0xNN>, the space in front of a text stripped. */
export const byteFallbackJson = () => ({
  version: "1.0",
  added_tokens: [{ id: 0, content: "</s>", ...SPECIAL }],
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  },
  pre_tokenizer: null,
  post_processor: null,
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
  model: {
    type: "BPE",
    byte_fallback: true,
    unk_token: "</s>",
    vocab: Object.fromEntries(
      [
        "</s>",
        ...Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`),
        ..."▁abc",
      ].map((token, id) => [token, id]),
    ),
    merges: [],
  },
});
