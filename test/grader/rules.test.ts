import { describe, expect, test } from "vitest";
import { compareAnswers, grade } from "../../src/grader/grade.ts";
import { wordsToNumber } from "../../src/grader/qwen/word-numbers.ts";

const equal = (grader: "strict" | "qwen2.5-math") => (pred: string, ref: string) =>
  compareAnswers(pred, ref, grader).verdict;

describe("what the paper's checker reads of a formula", () => {
  test.each([
    ["2x-1+", "2x-1", true], // an operator without an operand ends it
    ["x+(1", "x", true],
    ["(1+)2", "1", false], // but not within brackets
    ["\\frac{133}168", "133*68", true], // one digit without braces
    ["25.Therefore", "25", false], // digits before a lone point fall apart
    ["\\frac{1}{2}.Therefore", "0.5", true],
    ["12,345,67x", "12345x", false],
    ["12,345,67x", "12345", true],
    ["3x10^5", "300000", true], // an x between numbers multiplies them
    ["\\log_28", "3", true],
    ["\\int_0^1x^2dx", "\\frac{1}{3}", true],
    ["{a,b}", "{b,a}", true], // Python's sets
    ["{a,b}", "{a,c}", false],
    ["1=2", "3=4", true], // both false
    ["1<2", "4<3", false],
    ["x<5", "x>5", true], // the sign between the sides does not count
    ["2\\infty", "\\infty", true],
    ["\\infty-\\infty", "0", false],
    ["\\sqrt{x^2}", "x", false],
    ["1:03", "1:03PM", false],
  ])("%j against %j: %j", (pred, ref, verdict) => {
    expect(equal("qwen2.5-math")(pred, ref)).toBe(verdict);
  });

  test.each([
    ["two hundred five", "205", 205],
    ["three four five", "17", 12], // upstream: 3 x 4 + 5
    ["two million five hundred thousand", "2501500", 2_500_000], // upstream counts what follows "million" twice
    ["two point five", "2.5", null],
    ["three apples", "3", null],
    ["thousand five", null, 1005],
  ])("%j is %j to the paper's checker, %j in English", (text, upstream, english) => {
    expect(wordsToNumber(text)).toBe(upstream);
    expect(english === null || equal("strict")(text, String(english))).toBe(true);
  });
});

describe("what the strict grader takes for equal", () => {
  test.each([
    ["123456789012", "123456789013", false], // exactly
    ["2^{100}", "2^{100}+1", false],
    ["99!\\cdot 100", "100!", true],
    ["10^{400}", "10^{401}", false],
    ["0.\\overline{27}", "\\frac{3}{11}", true],
    ["1 1/2", "\\frac32", true],
    ["\\pi/2", "1.5708", true],
    ["\\pi", "\\frac{22}{7}", false],
    ["x>5", "(5,\\infty)", true],
    ["x\\ge 5", "(5,\\infty)", false],
    ["2>x", "(-\\infty,2)", true],
    ["\\{1,2\\}\\cup\\{3\\}", "\\{3,2,1\\}", true],
    ["\\{\\}", "\\emptyset", true],
    ["(-\\infty,\\infty)", "\\mathbb{R}", true],
    ["{5 \\choose 2}", "10", true],
    ["\\tan 45^\\circ", "1", true],
    ["x \\ngtr 5", "x\\le 5", true],
    ["50 cm^2", "50", true],
    ["\\mathbf{(2,3)}", "(2,3)", true],
    ["\\begin{pmatrix}1/2\\\\\\frac12\\end{pmatrix}", "\\begin{pmatrix}0.5\\\\0.5\\end{pmatrix}", true],
  ])("%j against %j: %j", (pred, ref, verdict) => {
    expect(equal("strict")(pred, ref)).toBe(verdict);
  });

  test("boxes that name their answers are one answer", () => {
    const response = "so $y_1 = \\boxed{2x}$ and $y_2 = \\boxed{3x}$.";
    expect(grade(response, "$y_1=2x, y_2=3x$")).toMatchObject({ verdict: true, extracted: "2x, 3x" });
    expect(grade("first \\boxed{5}, then, after all, \\boxed{6}", "6")).toMatchObject({ extracted: "6" });
  });
});
