import { existsSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isMultipleChoice, isProof } from "../../src/data/kinds.ts";
import { normaliseProblem, normaliseText } from "../../src/tasks/normalise.ts";
import { NOT_DRAWN, prepareTraining, shares, type NamedRows } from "../../src/data/prepare.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { mathRows } from "../../src/tasks/math-rows.ts";
import { readRows, type Row } from "../../src/tasks/rows.ts";

const set = (name: string, ...rows: Row[]): NamedRows => ({ name, rows: mathRows(rows, name) });
const asked = (prompt: string, answer = "5", row: Row = {}) => ({ prompt, answer, row });

describe("normalised text", () => {
  test.each([
    ["(2+3)*4", "2+3*4"],
    ["1.5 times 4", "15 times 4"],
    [".5 of 4", "5 of 4"],
    ["f'(1)", "f(1)"],
    ["20% of 50", "20 of 50"],
    ["2,3", "23"],
    ["2, 3", "23"],
    ["2 3", "23"],
    ["3! + 2", "3 + 2"],
    ["x^{12}", "x^12"],
    ["[2, 3)", "(2, 3)"],
    ["|x| < 2", "x < 2"],
    ["4:3", "43"],
    ["a & b", "a b"],
    ["A # B", "A B"],
    ["x \u2212 1", "x 1"],
    ["\\lfloor x \\rfloor", "x"],
    ["2\u00b2", "22"],
    ["x\u2082", "x2"],
    ["N", "n"],
    ["\\Delta x", "\\delta x"],
    ["AB", "ab"],
  ])("%j and %j are not", (a, b) => {
    expect(normaliseText(`Evaluate ${a}.`)).not.toBe(normaliseText(`Evaluate ${b}.`));
  });

  test.each([
    ["How many cats?", "how  many cats"],
    ["Find $x$ if $\\frac{1}{2}x=3$.", "find \\( x \\) if \\(\\dfrac{1}{2} x = 3\\)"],
    ["$\\left(a+b\\right)^2$", "$(a+b)^2$"],
    ["\\textbf{Find} $x\\,y$", "Find $xy$"],
    ["ﬁnd ２", "find 2"],
    ["Find x\u00b2 \u2264 \u00bd", "find $x^2 \\le \\frac12$"],
    ["The ratio is 4: 3; how many, then?", "the ratio is $4:3$; how many then"],
    ["Compute $\\arctan 65^{\\circ}$.", "compute \\(\\arctan 65^\\circ\\)"],
  ])("%j and %j are the same problem", (a, b) => {
    expect(normaliseText(a)).toBe(normaliseText(b));
  });

  test.each([
    ["Find 2+3", "Find 2-3"],
    ["Find $x^2$", "Find $x_2$"],
    ["$|a|<b$", "$|a|>b$"],
    ["$\\sin x$", "$\\cos x$"],
    ["Найти 2", "Найти 3"],
  ])("%j and %j are not", (a, b) => {
    expect(normaliseText(a)).not.toBe(normaliseText(b));
  });

  test("a drawing tells problems apart, and does not hide a held-out one", () => {
    const drawn = "Find $a$. [asy] draw(x); [/asy]";
    expect(normaliseText(drawn)).not.toBe(normaliseText("Find $a$."));
    expect(normaliseProblem(drawn)).toBe(normaliseProblem("Find $a$."));
    expect(normaliseProblem("Find $a$. [asy] never closed")).toBe(normaliseProblem("Find $a$."));
  });
});

describe("kinds of problems", () => {
  test.each([
    ["Prove that $n^2+n$ is even for all $n$.", true],
    ["Show that there are infinitely many primes.", true],
    ["Prove that such $c$ exists, and find the smallest value of $c$.", false],
    ["Show that it exists. How many are there?", false],
    ["It can be proven that $x$ is prime. Compute $x$.", false],
    ["If this trend continues, in what year will the census show that there are 10 wrens?", false],
  ])("%j is a proof: %s", (prompt, proof) => {
    expect(isProof(asked(prompt))).toBe(proof);
  });

  test.each([
    ["Which is it? $\\textbf{(A)}\\ 1\\qquad\\textbf{(B)}\\ 2\\qquad\\textbf{(C) }3\\qquad\\textbf{(D)} 4$", true],
    ["Which?\nA) 1\nB) 2\nC) 3\nD) 4\nE) 5", true],
    ["Which? A. 1 B. 2 C. 3 D. 4", true],
    ["Let $f(A) = 1$, $f(B) = 2$, and find $f(C)+f(D)$.", false],
    ["Triangle $ABC$ has $D$ on $BC$. Find $AD$.", false],
    ["Find it. [asy] label('$A$', (A)); (B) (C) (D) [/asy]", false],
  ])("%j is multiple choice: %s", (prompt, choice) => {
    expect(isMultipleChoice(asked(prompt))).toBe(choice);
  });

  test.each(["B", "(C)", "\\text{(D)}", "\\textbf{E}", "A."])("an answer %s is a choice", (answer) => {
    expect(isMultipleChoice(asked("Which?", answer))).toBe(true);
  });

  test("a data set's own marks count", () => {
    expect(isProof(asked("Find it.", "5", { question_type: "proof" }))).toBe(true);
    expect(isMultipleChoice(asked("Find it.", "5", { question_type: "MCQ" }))).toBe(true);
    expect(isMultipleChoice(asked("Find it.", "5", { question_type: "math-word-problem" }))).toBe(false);
  });
});

describe("preparing", () => {
  const settings = { take: 100, seed: 1 };

  test("each row is kept, or left out for its reason", () => {
    const { rows, dropped } = prepareTraining(
      [
        set(
          "one",
          { problem: "Keep me: $1+1$?", answer: "2", source: "aops", level: 3 },
          { problem: "Held  out?", answer: "1" },
          { problem: "Prove that 1 < 2.", answer: "1" },
          { problem: "Which?", answer: "(B)" },
          { problem: "The circle?", answer: "x^2+y^2=1" },
          { problem: "", answer: "1" },
          { problem: "No answer?", answer: "" },
          { problem: "Half?", answer: "\\frac{1}{2}" },
          { problem: "Disputed?", answer: "1" },
        ),
        set("two", { problem: "half", answer: "0.5" }, { problem: "Disputed", answer: "2" }),
      ],
      [set("exam", { question: "held out", answer: "#### 1", id: 7 })],
      settings,
    );
    expect(rows.map(({ id }) => id).sort()).toEqual(["one: 0", "one: 7"]);
    expect(rows.find(({ id }) => id === "one: 0")).toEqual({
      id: "one: 0",
      problem: "Keep me: $1+1$?",
      answer: "2",
      source: "aops",
      difficulty: "3",
    });
    expect(Object.fromEntries(dropped.map(({ id, ...why }) => [id, why]))).toEqual({
      "one: 1": { reason: "in an evaluation set", of: "exam: 7" },
      "one: 2": { reason: "proof" },
      "one: 3": { reason: "multiple choice" },
      "one: 4": { reason: "answer is not a number" },
      "one: 5": { reason: "no problem" },
      "one: 6": { reason: "no answer" },
      "one: 8": { reason: "copies with different answers", of: "two: 1" },
      "two: 0": { reason: "duplicate problem", of: "one: 7" },
      "two: 1": { reason: "copies with different answers", of: "one: 8" },
    });
  });

  test("what is prepared is read back by the math task's reader as it was", () => {
    const { rows } = prepareTraining([set("one", { problem: "A?", solution: "so \\boxed{033}" })], [], settings);
    expect(mathRows(rows as unknown as Row[], "again")).toMatchObject([
      { id: "one: 0", prompt: "A?", answer: "033", difficulty: "all" },
    ]);
  });

  const many = (source: string, level: number, count: number): Row[] =>
    Array.from({ length: count }, (_, i) => ({
      problem: `What is ${source} ${level} ${i}?`,
      answer: `${i}`,
      source,
      level,
    }));
  const mixed = set("mixed", ...many("aops", 1, 60), ...many("aops", 5, 30), ...many("olympiads", 5, 10));

  test("each source and difficulty gets its share", () => {
    const { rows, strata, dropped } = prepareTraining([mixed], [], { take: 20, seed: 3 });
    expect(strata).toEqual([
      { source: "aops", difficulty: "1", available: 60, taken: 12 },
      { source: "aops", difficulty: "5", available: 30, taken: 6 },
      { source: "olympiads", difficulty: "5", available: 10, taken: 2 },
    ]);
    expect(rows.filter(({ source }) => source === "olympiads").length).toBe(2);
    expect(dropped.filter(({ reason }) => reason === NOT_DRAWN).length).toBe(80);
  });

  test("only the sources that are asked for", () => {
    const { rows, dropped, sources } = prepareTraining([mixed], [], { take: 100, seed: 3, sources: ["olympiads"] });
    expect(rows.map(({ source }) => source)).toEqual(Array.from({ length: 10 }, () => "olympiads"));
    expect(new Set(dropped.map(({ reason }) => reason))).toEqual(new Set(["another source"]));
    expect(sources).toEqual(["aops", "olympiads"]);
  });

  test("the seed alone decides what is drawn, and in what order", () => {
    const draw = (seed: number) => prepareTraining([mixed], [], { take: 20, seed }).rows.map(({ id }) => id);
    expect(draw(3)).toEqual(draw(3));
    expect(draw(4)).not.toEqual(draw(3));
    expect([...draw(4)].sort()).not.toEqual([...draw(3)].sort());
  });

  test("shares are whole, in proportion, and sum to the total", () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(sizes, fc.double({ min: 0, max: 1, noNaN: true }), (all, part) => {
        const size = all.reduce((a, b) => a + b, 0);
        const total = Math.floor(part * size);
        const counts = shares(all, total);
        expect(counts.reduce((a, b) => a + b, 0)).toBe(total);
        counts.forEach((count, i) => {
          expect(count).toBeLessThanOrEqual(all[i]!);
          expect(Math.abs(count - (all[i]! * total) / Math.max(1, size))).toBeLessThan(1);
        });
      }),
    );
  });
});

const shared = new URL("../../../shared/data", import.meta.url).pathname;

describe.skipIf(!existsSync(shared))("real data [skipped where ../shared is absent]", () => {
  test("3,200 rows of DeepScaleR and MATH's training set, none of them in an evaluation set", async () => {
    const read = async (name: string): Promise<NamedRows> => ({
      name,
      rows: mathRows(await readRows({ files: nodeFiles }, `${shared}/${name}`), name),
    });
    const inputs = await Promise.all(
      ["math/train_rllm_answers.json", ...[1, 3, 5].map((n) => `deepscaler/deepscaler_difficulty_${n}.json`)].map(read),
    );
    const exams = await Promise.all(
      ["gsm8k/test.jsonl", "math500/test.jsonl", "math/test.jsonl", "aime24/aime_2024.jsonl"].map(read),
    );
    const { rows, dropped } = prepareTraining(inputs, exams, { take: 3200, seed: 42 });
    const read_ = inputs.reduce((sum, { rows: all }) => sum + all.length, 0);
    expect(rows.length).toBe(3200);
    expect(rows.length + dropped.length).toBe(read_);
    const held = new Set(exams.flatMap((exam) => exam.rows.map(({ prompt }) => prompt.trim())));
    expect(rows.some(({ problem }) => held.has(problem))).toBe(false);
    expect(new Set(rows.map(({ problem }) => problem)).size).toBe(3200);
    // 20 problems of DeepScaleR are in MATH's test set, letter for letter; those among its usable rows are left out.
    expect(dropped.filter(({ reason }) => reason === "in an evaluation set").length).toBeGreaterThan(10);
  });
});
