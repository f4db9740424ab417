import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { loadTokenizer, StreamDecoder, Tokenizer } from "../../src/hf/tokenizer.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { byteFallbackJson, byteLevelJson } from "../helpers/tokenizers.ts";
import { temporaryFolder } from "./temporary.ts";

const KINDS: Record<string, Tokenizer> = {
  "byte level": new Tokenizer(new HfTokenizer(byteLevelJson(), {}), {}, null),
  "byte fallback": new Tokenizer(new HfTokenizer(byteFallbackJson(), {}), {}, null),
};

describe.each(Object.entries(KINDS))("streaming, %s", (_, tokenizer) => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", " ", "é", "你", "🙂", "👨‍👩‍👧", "\n"), maxLength: 12 });

  test("the pieces are the whole, and none ends within a character", () => {
    fc.assert(
      fc.property(text, fc.infiniteStream(fc.integer({ min: 1, max: 4 })), (whole, sizes) => {
        const ids = tokenizer.encode(whole, { addSpecialTokens: false });
        const stream = new StreamDecoder(tokenizer);
        let streamed = "";
        for (let at = 0; at < ids.length;) {
          const next = Math.min(ids.length, at + sizes.next().value);
          const piece = stream.push(ids.slice(at, next), next === ids.length);
          expect(piece.isWellFormed()).toBe(true);
          expect(piece).not.toContain("\ufffd");
          streamed += piece;
          at = next;
        }
        expect(streamed).toBe(tokenizer.decode(ids, { skipSpecialTokens: true }));
        expect(streamed).toBe(whole);
      }),
      { numRuns: 300 },
    );
  });

  test("a response cut within a character ends with a replacement character, and not before its end", () => {
    const ids = tokenizer.encode("a🙂", { addSpecialTokens: false }).slice(0, -1);
    const stream = new StreamDecoder(tokenizer);
    const before = ids.map((id) => stream.push([id])).join("");
    expect(before).toBe("a");
    expect(stream.push([], true)).toMatch(/^\ufffd+$/);
  });
});

test("special tokens are left out of a stream, and the spaces around them stay", () => {
  const tokenizer = KINDS["byte fallback"]!;
  const [space, a] = [tokenizer.tokenId("▁")!, tokenizer.tokenId("a")!];
  const ids = [space, a, 0, space, a, 0];
  const stream = new StreamDecoder(tokenizer);
  expect(ids.map((id) => stream.push([id])).join("") + stream.push([], true)).toBe("a a");
});

test("a text with a part that no token stands for is refused, and the part named", () => {
  const { added_tokens: _, ...json } = byteFallbackJson();
  const model = { type: "BPE", vocab: { "▁": 0, a: 1 }, merges: [], unk_token: "<unk>" };
  const tokenizer = new Tokenizer(new HfTokenizer({ ...json, added_tokens: [], model }, {}), {}, null);
  expect(tokenizer.encode("a", { addSpecialTokens: false })).toEqual([0, 1]);
  expect(() => tokenizer.encode("ab", { addSpecialTokens: false })).toThrow(/got none for a part of "ab"/);
  expect(() => tokenizer.encode("ab", { addSpecialTokens: false })).toThrow(FormatError);
});

describe("a tokenizer's folder", () => {
  const dir = temporaryFolder();
  const load = (files: Record<string, unknown>) => {
    for (const name of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]) {
      const content = files[name] ?? (name === "chat_template.jinja" ? undefined : {});
      const text = typeof content === "string" ? content : JSON.stringify(content);
      if (content === undefined) continue;
      writeFileSync(`${dir}/${name}`, text);
    }
    return loadTokenizer(nodeFiles, dir);
  };
  const json = byteLevelJson();
  const messages = [{ role: "user", content: "hi" }];
  const template = (body: string) => `${body}{% for m in messages %}[{{ m.content }}]{% endfor %}`;
  const rendered = async (config: unknown) =>
    (await load({ "tokenizer.json": json, "tokenizer_config.json": config })).applyChatTemplate(messages, {
      addGenerationPrompt: true,
    });

  test("a template as text, in a named list, and with the special tokens in either spelling", async () => {
    expect(await rendered({ chat_template: template("{{ bos_token }}"), bos_token: "<s>" })).toBe("<s>[hi]");
    expect(await rendered({ chat_template: template("{{ bos_token }}"), bos_token: { content: "<b>" } })).toBe(
      "<b>[hi]",
    );
    const named = [
      { name: "tool_use", template: template("tools") },
      { name: "default", template: template("{% if add_generation_prompt %}go{% endif %}") },
    ];
    expect(await rendered({ chat_template: named })).toBe("go[hi]");
    await expect(rendered({})).rejects.toThrow(/expected a chat template/);
    await expect(rendered({ chat_template: "{{ raise_exception('roles must alternate') }}" })).rejects.toThrow(
      /chat template cannot be rendered: roles must alternate/,
    );
  });

  test.each(["break", "continue"])(
    "a template that could %s is refused, and the statement named",
    async (statement) => {
      const chat_template = `{% for m in messages %}a{%- ${statement} -%}{% endfor %}`;
      const tokenizer = await load({ "tokenizer.json": json, "tokenizer_config.json": { chat_template } });
      expect(() => tokenizer.applyChatTemplate([], { addGenerationPrompt: true })).toThrow(`no statement ${statement}`);
    },
  );

  test("a list of templates without one is none", async () => {
    for (const chat_template of [[null], [{}], [{ name: "default", template: 1 }]]) {
      const tokenizer = await load({ "tokenizer.json": json, "tokenizer_config.json": { chat_template } });
      expect(() => tokenizer.applyChatTemplate([], { addGenerationPrompt: true })).toThrow(/got none/);
    }
  });

  test("bytes that spell U+FEFF are that character, wherever they stand", async () => {
    const bytes = ["<0xEF>", "<0xBB>", "<0xBF>", "x"];
    const vocab = Object.fromEntries(bytes.map((token, id) => [token, id]));
    for (const decoder of [
      { type: "ByteFallback" },
      { type: "Sequence", decoders: [{ type: "ByteFallback" }, { type: "Fuse" }] },
    ]) {
      const model = { type: "BPE", vocab, merges: [], byte_fallback: true };
      const tokenizer = await load({
        "tokenizer.json": {
          added_tokens: [],
          normalizer: null,
          pre_tokenizer: null,
          post_processor: null,
          decoder,
          model,
        },
      });
      const text = tokenizer.decode([0, 1, 2, 3, 0, 1, 2], { skipSpecialTokens: true });
      expect(text.replaceAll(" ", "")).toBe("\ufeffx\ufeff");
    }
  });

  test("eosTokenId, and files that are not what they should be", async () => {
    const tokenizer = await load({ "tokenizer.json": json, "tokenizer_config.json": { eos_token: "<|end|>" } });
    expect(tokenizer.eosTokenId).toBe(256);
    expect((await load({ "tokenizer.json": json })).eosTokenId).toBe(undefined);
    for (const bad of ["{", "[]", "null", {}, { model: { type: "no such model" } }])
      await expect(load({ "tokenizer.json": bad })).rejects.toThrow(FormatError);
  });

  test("chat_template.jinja comes before tokenizer_config.json's", async () => {
    const tokenizer = await load({
      "tokenizer.json": json,
      "tokenizer_config.json": { chat_template: template("old") },
      "chat_template.jinja": template("new"),
    });
    expect(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).toBe("new[hi]");
  });
});

const data = new URL("../../../shared/data/tokenizer", import.meta.url).pathname;

/** llama.cpp's test vectors: texts between marker lines, and a line of ids for each. */
function vectors(name: string): [text: string, ids: number[]][] {
  const texts = readFileSync(`${data}/${name}.gguf.inp`, "utf8").split("\n__ggml_vocab_test__\n");
  const lines = readFileSync(`${data}/${name}.gguf.out`, "utf8").split("\n");
  return texts.map((text, i) => [text, (lines[i] ?? "").trim().split(/\s+/).filter(Boolean).map(Number)]);
}

describe.skipIf(!existsSync(data))("real vocabularies [skipped where ../shared is absent]", () => {
  test.each([
    ["deepseek-r1-distill-qwen", "ggml-vocab-deepseek-r1-qwen"],
    ["qwen2.5", "ggml-vocab-qwen2"],
    ["qwen2.5", "ggml-vocab-qwen2.2025-11"],
  ])("%s agrees with llama.cpp's %s", async (folder, name) => {
    const tokenizer = await loadTokenizer(nodeFiles, `${data}/${folder}`);
    const cases = vectors(name);
    expect(cases.length).toBeGreaterThan(40);
    const differ = cases.filter(
      ([text, ids]) => tokenizer.encode(text, { addSpecialTokens: false }).join() !== ids.join(),
    );
    expect(differ).toEqual([]);
    for (const [text, ids] of cases) {
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(text.normalize("NFC"));
      const stream = new StreamDecoder(tokenizer);
      expect(ids.map((id) => stream.push([id])).join("") + stream.push([], true)).toBe(text.normalize("NFC"));
    }
  });

  test("the R1 template of January 2025", async () => {
    const tokenizer = await loadTokenizer(nodeFiles, `${data}/deepseek-r1-distill-qwen`);
    const messages = [{ role: "user", content: "What is 1 + 1?" }];
    const text = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
    expect(text).toMatch(/^<｜begin▁of▁sentence｜><｜User｜>What is 1 \+ 1\?<｜Assistant｜>/);
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    expect(ids.slice(0, 2)).toEqual([151646, 151644]);
    expect(tokenizer.eosTokenId).toBe(151643);
  });
});
