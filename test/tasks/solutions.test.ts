import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Solution } from "../../src/core/solutions.ts";
import { gradeMarked } from "../../src/grader/grade.ts";
import { chainSolutions } from "../../src/tasks/arithmetic-solutions.ts";
import { proseSolutions } from "../../src/tasks/prose-solutions.ts";

const prose = (text: string, gold: string) =>
  proseSolutions(text, (answer) => gradeMarked(`\\boxed{${answer}}`, gold).correct);

/** What each solution ends with, what follows if the response is cut there, whether it is right, and what it computes. */
const read = (text: string, solutions: readonly Solution[]) =>
  solutions.map(({ end, ending, correct, work }, i) => [
    text
      .slice(solutions[i - 1]?.end ?? 0, end)
      .trim()
      .split("\n")
      .at(-1),
    text.slice(ending),
    correct,
    work,
  ]);

describe("a sum's solutions", () => {
  test("are its passes; a comparison is of the pass that it speaks of, a doubt is not", () => {
    const text = `7+8=15-5=10
I get 10. Wait, let me check.
7+8~5=15
15-5~0=10
I got 10, now 10 again. But is that right?
7+8-5=11
I got 10, now 11. Hmm, let me do it again.
7+8-5=10
I got 11, now 10.
The answer is \\boxed{10}`;
    const box = "The answer is \\boxed{10}";
    expect(read(text, chainSolutions(text, "10"))).toEqual([
      ["7+8=15-5=10", box, true, ["7+8=15", "15-5=10"]],
      ["I got 10, now 10 again.", box, true, ["7+8=15", "15-5=10"]],
      ["I got 10, now 11.", box, false, ["7+8-5=11"]],
      ["I got 11, now 10.", box, true, ["7+8-5=10"]],
    ]);
  });

  test("of last digits alone are what is said of them", () => {
    const text = `7+8-5~0+9~9
I get 29. Wait, let me check.
7+8~5=15
15-5~0=10
10+9~9=19
I got 29, now 19. Let me check once more.
7+8~5-5~0+9~9
The answer is \\boxed{19}`;
    const box = "The answer is \\boxed{19}";
    const work = ["7+8=15", "15-5=10", "10+9=19"];
    expect(read(text, chainSolutions(text, "19"))).toEqual([
      ["7+8-5~0+9~9", box, false, work],
      ["I got 29, now 19.", box, true, work],
      ["7+8~5-5~0+9~9", box, true, work],
    ]);
  });

  test("include the box where the right answer first stands there, and there are none without a box", () => {
    expect(read("\\boxed{10}", chainSolutions("\\boxed{10}", "10"))).toEqual([["\\boxed{10}", "", true, []]]);
    const text = "7+8=16\n16-5=11\n\\boxed{10}";
    expect(read(text, chainSolutions(text, "10"))).toEqual([
      ["16-5=11", "\\boxed{10}", false, ["7+8=16", "16-5=11"]],
      ["\\boxed{10}", "", true, []],
    ]);
    expect(chainSolutions("7+8=15\n15-5=10\nI get 10.", "10")).toEqual([]);
  });
});

describe("solutions in prose", () => {
  test("thoughts are split at paragraphs that come to the answer or announce one; what follows them is the final part", () => {
    const text = `<think>
She has 6 bags of 7, so 6 × 6 = 36.

Is that 36? No, $6 \\times 7 = 42$ apples.

So the answer is 42.

Wait, let me check: \\(42 / 7 = 6\\), bags as they should be.

So it is right, 42 is the answer: 42.
</think>

She has **42**: \\boxed{42}`;
    const final = "</think>\n\nShe has **42**: \\boxed{42}";
    expect(read(text, prose(text, "42"))).toEqual([
      ["Is that 36? No, $6 \\times 7 = 42$ apples.", final, true, ["6*6=36", "6*7=42"]],
      ["So it is right, 42 is the answer: 42.", final, true, ["42/7=6"]],
    ]);
  });

  test("a solution that marks its answer needs nothing behind it, and a last paragraph that checks is a solution", () => {
    const check = "Check: 42/7 = 6, so\n\\[\n\\boxed{42}\n\\]";
    const text = `6*7 = 42, so \\boxed{42}.\n\n${check}`;
    expect(read(text, prose(text, "42"))).toEqual([
      ["6*7 = 42, so \\boxed{42}.", "", true, ["6*7=42"]],
      ["\\]", "", true, ["42/7=6"]],
    ]);
  });

  test("without blank lines the lines are parted; a final line that only states the answer is no solution", () => {
    const final = "The answer is \\boxed{\\frac{3}{4}}.";
    const text = `1/2 + 1/4 = 0.8\nNo: \\[\n\\dfrac12 + \\dfrac14 = \\frac{3}{4}\n\\]\nSo x = 0.75.\n${final}`;
    expect(read(text, prose(text, "\\frac{3}{4}"))).toEqual([
      ["\\]", final, true, ["1/2+1/4=0.8", "\\frac12+\\frac14=\\frac{3}{4}"]],
    ]);
  });

  test("a wrong answer that is marked or announced ends a solution, one that is only computed does not", () => {
    const text = "1+2 = 4\n\nThe answer is 4.\n\nNo: 1+2 = 3\n\n\\boxed{3}";
    expect(read(text, prose(text, "3"))).toEqual([
      ["The answer is 4.", "\\boxed{3}", false, ["1+2=4"]],
      ["No: 1+2 = 3", "\\boxed{3}", true, ["1+2=3"]],
    ]);
    expect(prose("1+2 = 3\n\n\\boxed{4}", "3")).toEqual([]);
  });
});

test("whatever a response says, its solutions come in order and their final parts behind them", () => {
  const piece = fc.constantFrom(
    ..."1+2=3|1+2=4|3|4|1+2~3-1~2|~|I get 4.|\\boxed{3}|\\boxed{4}|#### 3|The answer is 3.| I got 3, now 3 again.|\n|\n\n| |</think>|$|x = 3|\\[|\\]|\\boxed{|}|🙂".split(
      "|",
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
      const text = pieces.join("");
      for (const solutions of [prose(text, "3"), chainSolutions(text, "3")]) {
        let before = 0;
        for (const { end, ending } of solutions) {
          expect(end).toBeGreaterThan(before);
          expect(ending).toBeGreaterThanOrEqual(end);
          expect(ending).toBeLessThanOrEqual(text.length);
          before = end;
        }
      }
    }),
  );
});
