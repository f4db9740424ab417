import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { extractAnswer } from "../../src/grader/qwen/extract.ts";
import { compareAnswers, grade } from "../../src/grader/grade.ts";
import { normalise } from "../../src/grader/qwen/normalise.ts";

const shared = fileURLToPath(new URL("../../../shared/data", import.meta.url));

interface Case {
  pred: string;
  ref: string;
  raw_pred: string;
  raw_ref: string;
  gold: string;
  raw: string;
  norm: string;
  norm_skip_unit: string;
  text: string;
  response: string;
  solution: string;
  answer: string;
  data_name: string;
  verdict: boolean;
  intended: boolean | null;
}

const cases = (name: string): Case[] =>
  readFileSync(`${shared}/grader/${name}_dev.jsonl`, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Case);

const share = <T>(items: readonly T[], holds: (item: T) => boolean) => items.filter(holds).length / items.length;

describe.skipIf(!existsSync(shared))("recorded verdicts [skipped where ../shared is absent]", () => {
  test("the paper's normaliser and extraction, every case", () => {
    for (const { raw, norm, norm_skip_unit } of cases("strip_cases"))
      expect([normalise(raw), normalise(raw, { keepUnits: true })]).toEqual([norm, norm_skip_unit]);
    for (const { text, data_name, answer } of cases("extract_cases"))
      expect(extractAnswer(text, data_name)).toBe(answer);
  });

  test("the paper's checker on 99.8% of pairs and on all responses", () => {
    const equal = ({ pred, ref }: Case) => compareAnswers(pred, ref, "qwen2.5-math").verdict;
    expect(share(cases("grader_cases"), (c) => equal(c) === c.verdict)).toBeGreaterThanOrEqual(0.998);
    for (const { response, solution, data_name, verdict, pred, ref } of cases("e2e_cases")) {
      const got = grade(response, solution, { grader: "qwen2.5-math", dataset: data_name });
      expect([got.extracted, got.gold, got.verdict]).toEqual([pred, ref, verdict]);
    }
  });

  test("800 real responses: every extraction and every verdict", () => {
    const rows = readFileSync(`${shared}/rollouts/math_cot_100.jsonl`, "utf8").trim().split("\n");
    let [count, otherwise] = [0, 0];
    for (const row of rows) {
      const { solution, response, pred, score } = JSON.parse(row) as {
        solution: string;
        response: string[];
        pred: string[];
        score: boolean[];
      };
      response.forEach((text, i) => {
        const { extracted, verdict } = grade(text, solution, { grader: "qwen2.5-math" });
        expect([extracted, verdict]).toEqual([pred[i], score[i]]);
        // What the paper's checker refuses and strict does not: 4:30 \text{ p.m.} and 10{,}000.
        const strict = grade(text, solution).verdict;
        expect(strict || !score[i], text.slice(-200)).toBe(true);
        if (strict !== score[i]) otherwise++;
        count++;
      });
    }
    expect([count, otherwise]).toEqual([800, 9]);
  });

  test("the strict grader as a mathematician would, on 99.9% of pairs, and on 97% of Math-Verify's", () => {
    const judged = cases("grader_cases").filter(({ intended }) => intended !== null);
    const strict = (c: Case) => compareAnswers(c.raw_pred, c.raw_ref, "strict").verdict === c.intended;
    expect(share(judged, strict)).toBeGreaterThanOrEqual(0.999);
    expect(
      share(cases("math_verify_cases"), (c) => grade(c.pred, c.gold).verdict === c.verdict),
    ).toBeGreaterThanOrEqual(0.97);
  });
});

describe("the graders", () => {
  const qwen = (pred: string, ref: string) => compareAnswers(pred, ref, "qwen2.5-math").verdict;
  const strict = (pred: string, ref: string) => compareAnswers(pred, ref, "strict").verdict;

  test.each([
    ["5", "500", true, false], // a factor of a hundred
    ["[0,1)", "(0,1]", true, false], // kinds of brackets
    ["1\\frac{3}{8}", "\\frac{11}{8}", false, true], // mixed numbers
    ["3,1,2", "1,2,3", false, true], // order of a list
    ["\\pi", "3.14159265", false, true], // numbers with names
    ["i^2", "-1", false, true],
    ["(x+1)^2", "x^2+2x+1", true, true],
    ["(x-1)^2", "x^2+2x+1", false, false],
    ["\\frac{1}{3}", "0.3333", true, true],
    ["", "", true, false], // an empty gold answer
    ["tae", "eat", true, false], // anagrams
    ["\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}1.0\\\\2\\end{pmatrix}", true, true],
    ["x=5", "5", true, true],
    ["12\\%", "0.12", true, true],
  ])("%j against %j: the paper's says %j, the strict one %j", (pred, ref, paper, mathematics) => {
    expect([qwen(pred, ref), strict(pred, ref)]).toEqual([paper, mathematics]);
  });

  test.each([
    ["\\frac{3}{4}", "\\boxed{\\frac{3}{4}}", true],
    ["\\frac{3}{4}", "\\boxed{4}", false],
    ["x^2", "\\boxed{2}", false],
    ["(3,5)", "\\boxed{(3,5)}", true],
    ["2\\sqrt{3}", "\\boxed{3}", false],
    ["\\text{the set of all primes}", "\\boxed{\\text{the set of all primes}}", true],
    ["12 inches", "\\boxed{12}", true],
    ["She has 3 and buys 4, so she has 7 of them in all", "\\boxed{7}", true], // a solution
  ])("the paper's takes the gold %j as it stands: %j %j", (gold, response, verdict) => {
    expect(grade(response, gold, { grader: "qwen2.5-math" }).verdict).toBe(verdict);
  });

  test("golds that need a decision", () => {
    expect(grade("\\boxed{104}", "\\boxed{104.}").verdict).toBe(true);
    expect(grade("\\boxed{33}", "033").verdict).toBe(true);
    expect(grade("\\boxed{33}", "\\boxed{033}", { grader: "qwen2.5-math" }).verdict).toBe(true);
    // The paper's normaliser deletes the word as a unit; the empty gold then equals an empty answer.
    expect(extractAnswer("\\boxed{\\text{east}}")).toBe("");
    expect(grade("\\boxed{}", "\\boxed{\\text{east}}", { grader: "qwen2.5-math" }).verdict).toBe(true);
    expect(grade("\\boxed{\\text{east}}", "\\boxed{\\text{east}}").verdict).toBe(true);
    expect(grade("\\boxed{}", "\\boxed{\\text{east}}").verdict).toBe(false);
  });
});
