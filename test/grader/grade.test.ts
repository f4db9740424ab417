import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gradeMarked } from "../../src/grader/grade.ts";
import { markedAnswer } from "../../src/grader/marked-answer.ts";
import { parseNumber } from "../../src/grader/number.ts";

describe("answers", () => {
  test.each([
    ["so \\boxed{1} no, \\boxed{42}.", "42"],
    ["\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"],
    ["\\boxed 5", "5"],
    ["\\boxed{5", ""],
    ["8 - 3 = 5\n#### 5\n", "5"],
    ["the answer is 5", ""],
  ])("extracts from %j", (text, answer) => {
    expect(markedAnswer(text)).toBe(answer);
  });

  test.each([
    ["1,234", 1234],
    ["033", 33],
    ["104.", 104],
    ["\\$5", 5],
    ["50\\%", 50],
    ["3/4", 0.75],
    ["\\frac{3}{4}", 0.75],
    ["-\\dfrac34", -0.75],
    ["x = 5", 5],
    [".5", 0.5],
    ["90^\\circ", 90],
    ["−5", -5],
    ["１，２３４", 1234],
    ["½", 0.5],
    ["−3⁄4", -0.75],
    ["90°", 90],
    ["", null],
    ["1,2", null],
    ["pi", null],
    ["1/0", null],
    ["9".repeat(500), null],
  ])("reads the number in %j", (text, value) => {
    expect(parseNumber(text)).toBe(value);
  });

  test("right, wrong and missing answers, with the reason", () => {
    expect(gradeMarked("\\boxed{033}", "33")).toMatchObject({ correct: true, reason: "equal values" });
    expect(gradeMarked("\\boxed{34}", "33")).toMatchObject({ correct: false, reason: "different" });
    expect(gradeMarked("\\boxed{}", "")).toMatchObject({ correct: false, reason: "no answer found" });
    expect(gradeMarked("\\boxed{ (1, 2) }", "(1,2)")).toMatchObject({ correct: true, reason: "equal parts" });
    expect(gradeMarked("\\boxed{0.33}", "\\frac{1}{3}").correct).toBe(false);
  });

  test("nothing makes it throw or take long", () => {
    const piece = fc.constantFrom(
      "\\boxed",
      "{",
      "}",
      "####",
      "\\frac",
      "9",
      "1e999",
      ",",
      "$",
      "/",
      "\u202e",
      "\n",
      "-",
      ".",
      "\\text{",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 200 }), (parts) => {
        const { correct, reason } = gradeMarked(parts.join(""), "7");
        expect(typeof correct).toBe("boolean");
        expect(reason).not.toBe("");
      }),
    );
    expect(gradeMarked(`\\boxed{${"{".repeat(1e6)}`, "7").correct).toBe(false);
    expect(gradeMarked(`####${" ".repeat(1e6)}x`, "7").correct).toBe(false);
    expect(gradeMarked("\\boxed{}".repeat(1e5), "7").correct).toBe(false);
  });
});
