import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ConfigError, FormatError } from "../../src/errors.ts";
import { loadTokenizer } from "../../src/hf/tokenizer.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { evaluationTask, loadMath, mathTask } from "../../src/tasks/math.ts";
import type { TaskOptions } from "../../src/tasks/task.ts";
import { temporaryFolder } from "../hf/temporary.ts";
import { parquet } from "./parquet.ts";

const dir = temporaryFolder();
const unused = { applyChatTemplate: () => "the chat template" };
let count = 0;

function file(extension: string, content: string | Uint8Array): string {
  const path = `${dir}/${count++}.${extension}`;
  writeFileSync(path, content);
  return path;
}

const lines = (...rows: unknown[]): string =>
  file("jsonl", rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n"));
const load = (path: string, options = {}) => loadMath({ files: nodeFiles }, path, options);
const task = (settings: Partial<TaskOptions>) => mathTask({ options: {}, ...settings }, { files: nodeFiles });

async function failure(promise: Promise<unknown>): Promise<Error> {
  const error: unknown = await promise.then(
    () => null,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(Error);
  expect((error as Error).message).not.toContain("\n");
  return error as Error;
}

describe("rows", () => {
  test("the shapes of GSM8K, MATH, AIME and DeepScaleR", async () => {
    expect((await load(lines({ question: "1+1?", answer: "1+1 = <<1+1=2>>2\n#### 2" }))).problems).toEqual([
      { id: "0", prompt: "1+1?", answer: "2", difficulty: "all" },
    ]);
    const math = { problem: "Half?", solution: "So \\boxed{\\frac{1}{2}}.", level: 3, unique_id: "test/1.json" };
    expect((await load(lines({ ...math, answer: "\\frac{1}{2}" }))).problems).toEqual([
      { id: "test/1.json", prompt: "Half?", answer: "\\frac{1}{2}", difficulty: "3" },
    ]);
    expect((await load(lines(math))).problems[0]!.answer).toBe("\\frac{1}{2}");
    expect((await load(lines({ problem: "Minutes?", solution: "\\boxed{033}" }))).problems[0]!.answer).toBe("033");
    const json = file("json", JSON.stringify([{ prompt: "How many?", answer: 28, id: 7 }]));
    expect((await load(json)).problems).toEqual([{ id: "7", prompt: "How many?", answer: "28", difficulty: "all" }]);
  });

  test("parquet, with whole numbers that its reader gives as bigints", async () => {
    const path = file(
      "parquet",
      parquet({ problem: ["1+1?", "Führer 🦙?", "pi?"], answer: ["2", "3", "\\pi"], level: [1, 5, 2] }),
    );
    const { problems, dropped } = await load(path);
    expect(problems).toEqual([
      { id: "0", prompt: "1+1?", answer: "2", difficulty: "1" },
      { id: "1", prompt: "Führer 🦙?", answer: "3", difficulty: "5" },
    ]);
    expect(dropped).toEqual({ "answer is not a number": 1 });
  });

  test("what is left out is counted by its reason", async () => {
    const path = lines(
      { problem: "a", answer: "1" },
      { problem: "a", answer: "2" },
      { problem: " ", answer: "1" },
      { problem: "b", answer: "" },
      { problem: "c" },
      { problem: "d", answer: "\\boxed{5" },
      { problem: "e", answer: "x+1" },
      { problem: "f", answer: "080 or 081 (both were accepted)" },
      "",
    );
    const { problems, dropped } = await load(path);
    expect(problems.map(({ prompt, answer }) => [prompt, answer])).toEqual([["a", "1"]]);
    expect(dropped).toEqual({
      "duplicate problem": 1,
      "no problem": 1,
      "no answer": 3,
      "answer is not a number": 2,
    });
  });

  test("named columns come before those that are tried", async () => {
    const path = lines({ problem: "p", answer: "1", frage: "f", loesung: "\\boxed{2}" });
    const { problems } = await load(path, { problem_column: "frage", answer_column: "loesung" });
    expect(problems).toMatchObject([{ prompt: "f", answer: "2" }]);
  });

  test.each<[string, () => string, RegExp]>([
    ["no such column", () => lines({ text: "a", answer: "1" }), /problem or question or prompt, got text, answer/],
    ["no answers", () => lines({ problem: "a" }), /answer or solution or target/],
    ["an empty file", () => file("jsonl", "\n"), /expected rows, got an empty file/],
    ["a line that is not JSON", () => lines({ problem: "a", answer: "1" }, "{"), /line 2: expected JSON/],
    ["a line that is a list", () => lines("[1]"), /line 1: expected a JSON object/],
    ["one object as .json", () => file("json", "{}"), /expected a JSON array/],
    ["no parquet", () => file("parquet", "PAR1, not"), /\.parquet: /],
    [
      "parquet cut short",
      () => file("parquet", parquet({ problem: ["a"], answer: ["1"] }).subarray(20)),
      /\.parquet: /,
    ],
    ["another format", () => file("csv", "a,b"), /expected a .jsonl, .json or .parquet file/],
  ])("%s is a FormatError in one line that names the file", async (_, make, message) => {
    const path = make();
    const error = await failure(load(path));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toContain(path);
    expect(error.message).toMatch(message);
  });
});

describe("the task", () => {
  test("renders the problem as it stands, into the paper's template or another", async () => {
    const path = lines({ problem: "Is $& $1 {problem}?", answer: "5" });
    const [paper, own] = [await task({ path }), await task({ path, options: { prompt_template: "Q: {problem}\nA:" } })];
    expect(own.render(own.train[0]!, unused)).toBe("Q: Is $& $1 {problem}?\nA:");
    expect(paper.render(paper.train[0]!, unused)).toBe(
      "<｜begin▁of▁sentence｜><｜User｜>Please reason step by step, and put your final answer within \\boxed{}. Question: Is $& $1 {problem}?<｜Assistant｜>",
    );
  });

  test("033 is 33", async () => {
    const { train, judge } = await task({ path: lines({ problem: "a", solution: "\\boxed{033}" }) });
    expect(judge(train[0]!, "so \\boxed{33}")).toMatchObject({ correct: true, extracted: "33", gold: "033" });
    expect(judge(train[0]!, "so \\boxed{330}").correct).toBe(false);
    expect(judge(train[0]!, "so 33").correct).toBe(false);
  });

  test("no held-out problem is trained on", async () => {
    const path = lines({ problem: "a", answer: "1" }, { problem: "b", answer: "2" }, { problem: "c", answer: "3" });
    const { train, test: heldOut, dropped } = await task({ path, test_path: lines({ question: " b ", answer: "2" }) });
    expect(heldOut.map(({ prompt }) => prompt)).toEqual(["b"]);
    expect(train.map(({ prompt }) => prompt)).toEqual(["a", "c"]);
    expect(dropped).toEqual({ "held out": 1 });
  });

  test("an evaluation set by its name, from a file: all its problems whatever their answers, and none is trained on", async () => {
    const test_path = lines({ problem: "Where is $b$?", answer: "\\text{east}" }, { problem: "c", answer: "2" });
    const path = lines({ problem: "where is b", answer: "1" }, { problem: "d", answer: "2" });
    const math500 = await evaluationTask("math500")({ options: {}, path, test_path }, { files: nodeFiles });
    expect([math500.name, math500.test.length, math500.train.length]).toEqual(["math500", 2, 1]);
    expect(math500.judge(math500.test[0]!, "\\boxed{\\text{east}}").correct).toBe(true);
    expect(math500.dropped).toEqual({ "held out": 1 });
  });

  test("an evaluation set without a file comes from the hub, all parts of it", async () => {
    const parts = [lines({ problem: "a", answer: "1" }), lines({ problem: "b", answer: "2" })];
    const asked: string[] = [];
    const dataFiles = (name: string) => {
      asked.push(name);
      return Promise.resolve(parts);
    };
    const gsm8k = await evaluationTask("gsm8k")({ options: {} }, { files: nodeFiles, dataFiles });
    expect(asked).toEqual(["openai/gsm8k/main:test"]);
    expect(gsm8k.test.map(({ prompt }) => prompt)).toEqual(["a", "b"]);
  });

  test("held-out rows alone are enough to evaluate", async () => {
    const {
      train,
      test: heldOut,
      dropped,
    } = await task({ test_path: lines({ problem: "b", answer: "x" }, { problem: "b", answer: "2" }) });
    expect([train.length, heldOut.length, dropped]).toEqual([0, 1, { "answer is not a number": 1 }]);
  });

  test.each<[Partial<TaskOptions>, RegExp]>([
    [{}, /task.path or task.test_path/],
    [{ path: "x.jsonl", options: { colour: 1 } }, /task.options.colour: expected one of problem_column/],
    [{ path: "x.jsonl", options: { prompt_template: "no place" } }, /\{problem\}/],
    [{ path: "x.jsonl", options: { prompt_template: 5 } }, /task.options.prompt_template: expected a text, got 5/],
    [{ path: "x.jsonl", options: { problem_column: ["a"] } }, /task.options.problem_column: expected a text/],
  ])("options that it cannot take: %j", async (settings, message) => {
    const error = await failure(task(settings));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(message);
  });
});

const shared = new URL("../../../shared/data", import.meta.url).pathname;
const SETS = [
  "gsm8k/test.jsonl",
  "gsm8k/train.jsonl",
  "math500/test.jsonl",
  "math/test.jsonl",
  "math/train_rllm_answers.json",
  "aime24/aime_2024.jsonl",
  "aime24/aime_1983_2023.jsonl",
  "deepscaler/deepscaler_difficulty_1.json",
  "deepscaler/deepscaler_difficulty_3.json",
  "deepscaler/deepscaler_difficulty_5.json",
];

describe.skipIf(!existsSync(shared))("real data [skipped where ../shared is absent]", async () => {
  const tokenizer = existsSync(shared)
    ? await loadTokenizer(nodeFiles, `${shared}/tokenizer/deepseek-r1-distill-qwen`)
    : null!;

  test.each(SETS)("%s: every row is kept or has a reason; the prompt is the paper's", async (name) => {
    const path = `${shared}/${name}`;
    const { train, dropped, render, judge } = await task({ path });
    const text = readFileSync(path, "utf8").trim();
    const inFile = name.endsWith(".jsonl") ? text.split("\n").length : (JSON.parse(text) as unknown[]).length;
    const left = Object.values(dropped!).reduce((a, b) => a + b, 0);
    expect(train.length + left).toBe(inFile);
    expect(train.length).toBeGreaterThan(inFile / 2);
    for (const problem of train) expect(judge(problem, `\\boxed{${problem.answer}}`).correct).toBe(true);

    const ids = tokenizer.encode(render(train[0]!, tokenizer), { addSpecialTokens: false });
    expect(ids.slice(0, 2)).toEqual([151646, 151644]);
    expect(ids.at(-1)).toBe(151645);
    expect(ids.filter((id) => id === 151646).length).toBe(1);
  });

  test.each([
    ["gsm8k", "gsm8k/test.jsonl", 1319],
    ["math500", "math500/test.jsonl", 500],
    ["aime2024", "aime24/aime_2024.jsonl", 30],
  ] as const)("the task %s holds every problem of its set", async (name, path, problems) => {
    const { test: heldOut, dropped } = await evaluationTask(name)(
      { options: {}, test_path: `${shared}/${path}` },
      { files: nodeFiles },
    );
    expect([heldOut.length, dropped]).toEqual([problems, {}]);
  });

  test("the problems that DeepScaleR shares with MATH-500 are not trained on", async () => {
    const test_path = `${shared}/math500/test.jsonl`;
    let heldOut = 0;
    for (const difficulty of [1, 3, 5]) {
      const path = `${shared}/deepscaler/deepscaler_difficulty_${difficulty}.json`;
      const { train, test: problems, dropped } = await task({ path, test_path });
      const held = new Set(problems.map(({ prompt }) => prompt));
      expect(train.some(({ prompt }) => held.has(prompt))).toBe(false);
      heldOut += dropped!["held out"] ?? 0;
    }
    // One of them letter for letter, three that differ in spaces, punctuation and delimiters. A fifth groups \overline{r}_1 otherwise.
    expect(heldOut).toBe(4);
  });

  test("AIME 2024: leading zeros and a trailing dot are kept, and read as numbers", async () => {
    const { train, judge } = await task({ path: `${shared}/aime24/aime_2024.jsonl` });
    expect(train.length).toBe(30);
    for (const [gold, answer] of [
      ["033", "33"],
      ["073", "73"],
      ["104.", "104"],
    ] as const) {
      const problem = train.find((p) => p.answer === gold)!;
      expect(judge(problem, `\\boxed{${answer}}`).correct).toBe(true);
    }
  });
});
