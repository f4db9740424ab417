import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { Tokenizer } from "../../src/hf/tokenizer.ts";
import { deadline } from "../../src/runtime/deadline.ts";

const withNormalizer = (normalizer: object): Tokenizer => {
  const json = {
    added_tokens: [],
    normalizer,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    model: { type: "BPE", vocab: { 1: 0, x: 1 }, merges: [] },
  };
  return new Tokenizer(new HfTokenizer(json, {}), {}, null, deadline(0.2));
};
const encode = (tokenizer: Tokenizer, text: string) => tokenizer.encode(text, { addSpecialTokens: false });

test("a pattern that backtracks without end is an error, and the next text is encoded", () => {
  const tokenizer = withNormalizer({ type: "Replace", pattern: { Regex: "^(\\d|\\d\\d)+x" }, content: "x" });
  expect(() => encode(tokenizer, "1".repeat(100))).toThrow(FormatError);
  expect(() => encode(tokenizer, "1".repeat(100))).toThrow(/within 0.2 s; a pattern in its tokenizer.json/);
  expect(encode(tokenizer, "11x")).toEqual([1]);
});

test("texts that double without end are an error", () => {
  const normalizers = Array.from({ length: 40 }, () => ({ type: "Replace", pattern: { String: "1" }, content: "11" }));
  expect(() => encode(withNormalizer({ type: "Sequence", normalizers }), "1")).toThrow(FormatError);
});

test("work within a deadline shares it, and its own errors pass", () => {
  const within = deadline(5);
  expect(within(() => within(() => 3) + 1)).toBe(4);
  expect(() => within(() => within(() => JSON.parse("{")))).toThrow(SyntaxError);
  expect(within(() => 5)).toBe(5);
});
