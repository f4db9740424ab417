import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Tokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "../../src/hf/tokenizer.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import {
  chainValues,
  formatChain,
  parseChain,
  staysInRange,
  writeDemonstration,
} from "../../src/tasks/arithmetic-chains.ts";
import { arithmeticTask, demonstration } from "../../src/tasks/arithmetic.ts";

const folder = new URL("../../models/reasoner/", import.meta.url);
const read = (name: string) => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
const tokenizer = new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
const task = arithmeticTask({ seed: 3, num_train: 1000, num_test: 500 });

/** Passes of a response: the steps between two remarks, with the value that each says. */
function passes(response: string): { a: number; op: string; b: number; result: number }[][] {
  return response
    .split(/I g[eo]t[^\n]*\n|The answer|\\boxed/)
    .map((text) =>
      Array.from(text.matchAll(/(?<!\d)(?=(\d+)([+-])(\d)=(\d+))/g), ([, a, op, b, result]) => {
        return { a: Number(a), op: op!, b: Number(b), result: Number(result) };
      }),
    )
    .filter((steps) => steps.length > 0);
}

const boxed = (response: string) => Number(/\\boxed\{(\d+)\}$/.exec(response)?.[1]);

describe("parseChain", () => {
  test("reads what formatChain writes", () => {
    for (const problem of task.train) expect(formatChain(parseChain(problem.prompt)!) + "=?").toBe(problem.prompt);
    expect(parseChain("7 + 8 - 5 = ?")).toEqual(parseChain("7+8-5"));
  });

  test.each(["", "7", "7*8=?", "7+18=?", "+7", "100+1", "7+8=15", "what is 1+1?"])("refuses %j", (text) => {
    expect(parseChain(text)).toBeNull();
  });

  test("values by hand", () => {
    expect(chainValues(parseChain("7+8-5+9=?")!)).toEqual([15, 10, 19]);
    expect(staysInRange(95, parseChain("1+8-5")!.steps)).toBe(false);
    expect(staysInRange(3, parseChain("1-4+5")!.steps)).toBe(false);
    expect(staysInRange(3, parseChain("1-3+5")!.steps)).toBe(true);
  });
});

describe("demonstrations", () => {
  const responses = task.train.map((problem, i) => ({ problem, response: demonstration(problem, i) }));

  test("every pass follows the problem's operators and operands, and goes on from what it said", () => {
    for (const { problem, response } of responses) {
      const chain = parseChain(problem.prompt)!;
      for (const pass of passes(response)) {
        expect(pass.map(({ op, b }) => op + b).join("")).toBe(formatChain({ ...chain, start: 0 }).slice(1));
        expect(pass.map(({ a }) => a)).toEqual([chain.start, ...pass.slice(0, -1).map(({ result }) => result)]);
        for (const { a, op, b, result } of pass)
          expect([0, 1, 2]).toContain(Math.abs(result - (op === "+" ? a + b : a - b)));
      }
    }
  });

  test("the box holds the last pass's result, and remarks say what the passes gave", () => {
    for (const { response } of responses) {
      const results = passes(response).map((pass) => pass.at(-1)!.result);
      expect(boxed(response)).toBe(results.at(-1));
      const said = Array.from(response.matchAll(/I got (\d+), now (\d+)( again)?\./g));
      expect(said.length).toBe(results.length - 1);
      said.forEach(([, before, now, again], i) => {
        expect([Number(before), Number(now)]).toEqual(results.slice(i, i + 2));
        expect(again !== undefined).toBe(before === now);
      });
    }
  });

  test("checking pays: checked answers are right clearly more often than first ones, and most pairs of passes agree", () => {
    let checked = 0;
    let firstRight = 0;
    let lastRight = 0;
    for (let seed = 0; seed < 4; seed++) {
      for (const problem of task.train) {
        const response = demonstration(problem, 1000 + seed);
        const results = passes(response).map((pass) => String(pass.at(-1)!.result));
        if (results.length < 2) continue;
        checked++;
        if (results[0] === problem.answer) firstRight++;
        if (results.at(-1) === problem.answer) lastRight++;
      }
    }
    // By simulation 0.83 and 0.90; one standard error at 3,200 responses is under 0.007.
    expect(checked).toBeGreaterThan(2500);
    expect(firstRight / checked).toBeGreaterThan(0.79);
    expect(firstRight / checked).toBeLessThan(0.87);
    expect(lastRight / checked).toBeGreaterThan(firstRight / checked + 0.03);
  });

  test("harder problems go wrong more often", () => {
    const wrong = [1, 5].map((difficulty) => {
      const mine = responses.filter(({ problem }) => problem.difficulty === difficulty);
      return mine.filter(({ problem, response }) => String(boxed(response)) !== problem.answer).length / mine.length;
    });
    expect(wrong[1]).toBeGreaterThan(wrong[0]! + 0.1);
  });

  test("fit the bundled model's context and are mostly made of few tokens", () => {
    const lengths = responses.map(({ response }) => tokenizer.encode(response).ids.length + 1);
    const mean = lengths.reduce((a, b) => a + b) / lengths.length;
    expect(mean).toBeGreaterThan(60);
    expect(mean).toBeLessThan(110);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(256);
  });

  test("the same seed writes the same response, others another", () => {
    const [problem] = task.train;
    expect(demonstration(problem!, 5)).toBe(demonstration(problem!, 5));
    expect(new Set(Array.from({ length: 20 }, (_, seed) => demonstration(problem!, seed))).size).toBeGreaterThan(5);
  });

  test("without slips every pass is right", () => {
    // A random source that always says "almost 1" never slips and never stops early, so patience ends it.
    const chain = parseChain("47+8-9")!;
    const text = writeDemonstration(chain, () => 0.999);
    expect(passes(text)).toEqual(Array(6).fill(passes(text)[0]));
    expect(boxed(text)).toBe(46);
  });
});

describe("the bundled tokenizer", () => {
  test("digits and the demonstrations' words are single tokens", () => {
    const tokens = "1|0|=|1|0|\n|I| get| |1|0|.| Wait|,| let| me| check|.|\n|\\boxed{|1|0|}".split("|");
    expect(tokenizer.tokenize(tokens.join(""))).toEqual(tokens);
  });

  test("round trip of any printable ASCII", () => {
    const text = fc.array(
      fc.constantFrom(" let", " me", "Wait", "\\boxed{", "\n", "<|end|>", "<|", " again", "7", " ", "~"),
      {
        minLength: 1,
      },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          text.map((parts) => parts.join("")),
          fc.string({ minLength: 1, unit: "grapheme-ascii" }),
        ),
        (s) => {
          expect(tokenizer.decode(tokenizer.encode(s).ids)).toBe(s);
        },
      ),
    );
  });

  test("what it does not know becomes <|unk|>, one for each code point", () => {
    expect(tokenizer.encode("1é😀\t").ids).toEqual([tokenizer.token_to_id("1"), 1, 1, 1]);
  });

  test("renders a prompt by the folder's chat template", async () => {
    const loaded = await loadTokenizer(nodeFiles, fileURLToPath(folder));
    const [problem] = task.test;
    expect(task.render(problem!, loaded)).toBe(`<|user|>${problem!.prompt}<|assistant|>`);
    const ids = loaded.encode(task.render(problem!, loaded), { addSpecialTokens: false });
    expect(ids.length).toBe(problem!.prompt.length + 2);
    expect(loaded.decode(ids, { skipSpecialTokens: true })).toBe(problem!.prompt);
  });

  test("agrees with config.json and generation_config.json", () => {
    const config = read("config.json");
    expect(tokenizer.get_vocab().size).toBe(config.vocab_size);
    expect(config.eos_token_id).toBe(tokenizer.token_to_id("<|end|>"));
    expect(read("generation_config.json").eos_token_id).toBe(config.eos_token_id);
  });
});
