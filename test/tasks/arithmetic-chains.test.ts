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
import { arithmeticTask } from "../../src/tasks/arithmetic.ts";

const folder = new URL("../../models/reasoner/", import.meta.url);
const read = (name: string) => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
const tokenizer = new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
const task = arithmeticTask({ seed: 3, num_train: 1000, num_test: 500 });

interface Pass {
  /** What it says to be the value after each step; in a quick pass the last digit after every second one and after the last. */
  values: number[];
  quick: boolean;
  /** As the remark behind it has it, or the box. */
  result: number;
}

/** Of a quick pass over so many steps, whether the digit behind the i-th is shown. */
const isShown = (i: number, steps: number) => i % 2 === 1 || i === steps - 1;

/** Passes of a response: what stands between two remarks. Each is held against the problem's operators and operands. */
function passes(response: string, problem: string): Pass[] {
  const chain = parseChain(problem)!;
  const parts = response.split(/(I g[eo]t[^\n]*\n|(?:The answer is )?\\boxed\{\d+\}$)/);
  return parts.flatMap((text, i) => {
    if (i % 2 === 1 || text === "") return [];
    const quick = i === 0 && chain.steps.length > 1;
    const values = Array.from(text.matchAll(quick ? /~(\d+)/g : /=(\d+)/g), ([, value]) => Number(value));
    const froms = [chain.start, ...values];
    const shown = values.values();
    const sums = chain.steps.map(({ operator, operand }, j) => {
      const step = `${operator}${operand}`;
      if (quick) return isShown(j, chain.steps.length) ? `${step}~${shown.next().value}` : step;
      return `${froms[j]}${step}~${values[j]! % 10}=${values[j]}`;
    });
    expect(text).toBe(quick ? `${chain.start}${sums.join("")}\n` : `${sums.join("\n")}\n`);
    const result = Number(/(?:now |get |boxed\{)(\d+)/.exec(parts[i + 1]!)![1]);
    return [{ values, quick, result }];
  });
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
  const responses = task.train.map((problem, i) => ({ problem, response: task.demonstration!(problem, i) }));

  test("a careful pass is right; a quick one slips now and then and goes on from there, and may end off by tens", () => {
    const counts = { shown: 0, slips: 0, wrongTens: 0 };
    for (const { problem, response } of responses) {
      const chain = parseChain(problem.prompt)!;
      const { length } = chain.steps;
      passes(response, problem.prompt).forEach(({ quick, values, result }, i) => {
        expect(quick).toBe(i === 0 && length > 1);
        if (!quick) {
          expect(values).toEqual(chainValues(chain));
          expect(result).toBe(values.at(-1));
          return;
        }
        let { start: value } = chain;
        const digits = values.values();
        chain.steps.forEach((step, j) => {
          [value] = chainValues({ start: value, steps: [step] }) as [number];
          if (!isShown(j, length)) return;
          const off = (digits.next().value! - value + 100) % 10;
          expect([0, 1, 2, 8, 9]).toContain(off);
          value += off > 2 ? off - 10 : off;
          counts.shown++;
          if (off !== 0) counts.slips++;
        });
        expect(Math.abs(result - value) % 10).toBe(0);
        if (result !== value) counts.wrongTens++;
      });
    }
    // 6%, less what would leave 0 to 99; 1,600 digits, so within three standard errors.
    expect(Math.abs(counts.slips / counts.shown - 0.06)).toBeLessThan(0.02);
    // By hand: 4% of about 0.9 carries a sum, some of which would leave 0 to 99 or take each other back.
    expect(counts.wrongTens / responses.length).toBeGreaterThan(0.015);
    expect(counts.wrongTens / responses.length).toBeLessThan(0.06);
  });

  test("the box holds the last pass's result, and remarks say what the passes gave", () => {
    for (const { problem, response } of responses) {
      const results = passes(response, problem.prompt).map(({ result }) => result);
      expect(boxed(response)).toBe(results.at(-1));
      const said = Array.from(response.matchAll(/I got (\d+), now (\d+)( again)?\./g));
      expect(said.length).toBe(results.length - 1);
      said.forEach(([, before, now, again], i) => {
        expect([Number(before), Number(now)]).toEqual(results.slice(i, i + 2));
        expect(again !== undefined).toBe(before === now);
      });
    }
  });

  test("what is easy is checked the most, and a share of every difficulty not at all", () => {
    const counts = (difficulty: number) =>
      responses
        .filter(({ problem }) => problem.difficulty === difficulty)
        .map(({ problem, response }) => passes(response, problem.prompt).length);
    const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
    expect(mean(counts(1))).toBeGreaterThan(mean(counts(5)) + 1);
    for (const difficulty of [1, 2, 3, 4, 5]) {
      const unchecked = mean(counts(difficulty).map((count) => (count === 1 ? 1 : 0)));
      // 0.3, at 200 responses to within three standard errors
      expect(Math.abs(unchecked - 0.3)).toBeLessThan(0.1);
    }
  });

  test("fit the bundled model's context and are mostly made of few tokens", () => {
    const lengths = responses.map(({ response }) => tokenizer.encode(response).ids.length + 1);
    const mean = lengths.reduce((a, b) => a + b) / lengths.length;
    expect(mean).toBeGreaterThan(60);
    expect(mean).toBeLessThan(130);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(256);
  });

  test("the same seed writes the same response, others another", () => {
    const [problem] = task.train;
    const demonstrate = (seed: number) => task.demonstration!(problem!, seed);
    expect(demonstrate(5)).toBe(demonstrate(5));
    expect(new Set(Array.from({ length: 20 }, (_, seed) => demonstrate(seed))).size).toBeGreaterThan(5);
  });

  test("nothing slipped, nothing forgotten and nothing believed: every pass is right, until patience ends it", () => {
    // A random source that always says "almost 1" never slips, never forgets and never stops early.
    const text = writeDemonstration(parseChain("47+8-9")!, { stride: 2, slips: 0.06 }, () => 0.999);
    expect(passes(text, "47+8-9").map(({ result }) => result)).toEqual(Array(6).fill(46));
    expect(boxed(text)).toBe(46);
  });

  test("every carry forgotten: the tens stay those of the start; slipped as well: what is off stays off", () => {
    const all = (sum: string, stride: number, slips: number) =>
      writeDemonstration(parseChain(sum)!, { stride, slips }, () => 0);
    expect(all("47+8+4", 1, 0)).toBe("47+8~5+4~9\nThe answer is \\boxed{49}");
    expect(all("52-3-4+1", 2, 0)).toBe("52-3-4~5+1~6\nThe answer is \\boxed{56}");
    expect(all("52-3-4+1", 2, 0.06)).toBe("52-3-4~6+1~8\nThe answer is \\boxed{58}");
    expect(all("95-9-7-8+6", 2, 0.06)).toBe("95-9-7~0-8+6~9\nThe answer is \\boxed{99}");
    expect(all("47+8", 2, 0.06)).toBe("47+8~5=55\nThe answer is \\boxed{55}");
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
