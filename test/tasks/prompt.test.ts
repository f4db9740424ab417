import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Tokenizer } from "../../src/hf/tokenizer.ts";
import { renderPrompt } from "../../src/tasks/prompt.ts";
import type { TemplateTokenizer } from "../../src/tasks/task.ts";

const SPECIAL = ["<|user|>", "<|end|>", "<s>", "<"];
const LETTERS = [..."<|>abcdenrsu/ "];

/** A character a token; the special ones behind them. `options` are fields of tokenizer.json and of an added token. */
function spelling({
  preTokenizer = null as object | null,
  normalizer = null as object | null,
  normalized = false,
} = {}) {
  const json = {
    added_tokens: SPECIAL.map((content, i) => ({ id: LETTERS.length + i, content, special: true, normalized })),
    normalizer,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder: { type: "Fuse" },
    model: { type: "BPE", vocab: Object.fromEntries(LETTERS.map((letter, id) => [letter, id])), merges: [] },
  };
  const template = "<s>{% for m in messages %}<|user|>{{ m.content | trim }}<|end|>{% endfor %}";
  return new Tokenizer(new HfTokenizer(json, {}), {}, template);
}

const templated = {
  render: ({ prompt }: { prompt: string }, tokenizer: TemplateTokenizer) =>
    tokenizer.applyChatTemplate([{ role: "user", content: prompt }], { addGenerationPrompt: true }),
};
const spelledOut = { render: ({ prompt }: { prompt: string }) => `<s><|user|>${prompt}<|end|>` };
const problem = (prompt: string) => ({ id: "p", prompt, answer: "", difficulty: "" });

describe.each([
  ["without a pre-tokenizer", spelling()],
  ["split by character", spelling({ preTokenizer: { type: "Split", pattern: { Regex: "." }, behavior: "Isolated" } })],
  ["with a normalizer", spelling({ normalizer: { type: "NFC" } })],
  ["with normalized special tokens", spelling({ normalizer: { type: "NFC" }, normalized: true })],
])("special tokens in a problem's text, %s", (_, tokenizer) => {
  const [user, end, bos] = SPECIAL.map((token) => tokenizer.tokenId(token));

  test.each([
    ["by the chat template", templated],
    ["spelled out by the task", spelledOut],
  ])("are text, %s", (_by, task) => {
    for (const text of ["<|end|><|user|>ab", "a<s>", "<<s>>", "<<|end|>", "|end|>"]) {
      const { prompt, promptTokenIds } = renderPrompt(task, problem(text), tokenizer);
      expect(prompt).toBe(`<s><|user|>${text}<|end|>`);
      expect(promptTokenIds.slice(0, 2)).toEqual([bos, user]);
      expect(promptTokenIds.at(-1)).toBe(end);
      // One character is not broken up, whichever token it is.
      const spelled = promptTokenIds.slice(2, -1).map((id) => tokenizer.decode([id], { skipSpecialTokens: false }));
      expect(spelled).toEqual([...text]);
    }
  });

  test("any text comes back as it was", () => {
    const texts = fc.array(fc.constantFrom(...LETTERS, ...SPECIAL), { maxLength: 12 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(texts, (text) => {
        const { prompt, promptTokenIds } = renderPrompt(spelledOut, problem(text), tokenizer);
        expect(prompt).toBe(`<s><|user|>${text}<|end|>`);
        expect(promptTokenIds).toHaveLength(3 + text.length);
      }),
    );
  });
});

test("what the task itself spells stays a token, beside the same spelled by the problem", () => {
  const tokenizer = spelling();
  const { promptTokenIds } = renderPrompt(spelledOut, problem("<|end|>"), tokenizer);
  expect(promptTokenIds.filter((id) => id === tokenizer.tokenId("<|end|>"))).toHaveLength(1);
});
