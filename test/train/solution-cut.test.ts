import { fileURLToPath } from "node:url";
import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SOLUTION_CUTS, type SolutionCut } from "../../src/core/solutions.ts";
import { gradeMarked } from "../../src/grader/grade.ts";
import { loadTokenizer, Tokenizer } from "../../src/hf/tokenizer.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { arithmeticTask } from "../../src/tasks/arithmetic.ts";
import { proseSolutions } from "../../src/tasks/prose-solutions.ts";
import type { Problem, Task } from "../../src/tasks/task.ts";
import type { Rollout } from "../../src/train/rollouts.ts";
import { selectResponses } from "../../src/train/rejection.ts";
import { cutResponse } from "../../src/train/solution-cut.ts";
import { byteLevelJson } from "../helpers/tokenizers.ts";

const reasoner = await loadTokenizer(nodeFiles, fileURLToPath(new URL("../../models/reasoner", import.meta.url)));
const arithmetic = arithmeticTask({ seed: 3, num_train: 300, num_test: 1 });

/** A token for each byte, but for line ends with what is before them, as large vocabularies have them. */
function merging(): Tokenizer {
  const json = byteLevelJson();
  const merges = [
    ["Ċ", "Ċ"],
    [".", "Ċ"],
    [".", "ĊĊ"],
    ["s", "a"],
  ];
  const vocab = { ...json.model.vocab, ...Object.fromEntries(merges.map((pair, i) => [pair.join(""), 257 + i])) };
  return new Tokenizer(new HfTokenizer({ ...json, model: { ...json.model, vocab, merges } }, {}), {}, null);
}

const math: Task = {
  ...arithmetic,
  judge: ({ answer }, response) => gradeMarked(response, answer),
  solutions: ({ answer }, response) =>
    proseSolutions(response, (said) => gradeMarked(`\\boxed{${said}}`, answer).correct),
};
const problem = (answer: string): Problem => ({ id: "", prompt: "", answer, difficulty: 1 });

/** What is left of a response as text, its stop token shown; null where it cannot be cut so. */
function cutText(cut: SolutionCut, task: Task, tokenizer: Tokenizer, text: string, answer: string, stop?: string) {
  const end = tokenizer.tokenId("<|end|>")!;
  const said = tokenizer.encode(text + (stop ?? ""), { addSpecialTokens: false });
  const tokenIds = stop === undefined ? [...said, end] : said;
  const rollout = { problem: problem(answer), text, tokenIds };
  const stops = { stopTokenIds: [end], stop: stop === undefined ? [] : [stop] };
  const left = cutResponse(cut, rollout, { tokenizer, task, ...stops });
  return left && tokenizer.decode(left, { skipSpecialTokens: false });
}

describe("a sum's response is cut to one that a demonstration could be", () => {
  const first = "7+8=15\n15-5=10\n";
  const second = "I get 10. Wait, let me check.\n7+8=15-5=10\nI got 10, now 10 again.";
  const whole = `${first}${second} But is that right?\n7+8-5=10\nI got 10, now 10 again.\nThe answer is \\boxed{10}`;
  const box = "The answer is \\boxed{10}<|end|>";

  test.each<[SolutionCut, string | null]>([
    ["fcs", `${first}${box}`],
    ["fcs_reflection", `${first}${second}\n${box}`],
    ["gds", `${first}${box}`],
  ])("%s", (cut, left) => {
    expect(cutText(cut, arithmetic, reasoner, whole, "10")).toBe(left);
  });

  test("one that is not longer stays as it is, and one without a check has no reflection", () => {
    expect(cutText("fcs", arithmetic, reasoner, `${first}\\boxed{10}`, "10")).toBe(`${first}\\boxed{10}<|end|>`);
    expect(cutText("fcs_reflection", arithmetic, reasoner, `${first}\\boxed{10}`, "10")).toBeNull();
  });
});

describe("prose is cut at its tokens", () => {
  const tokenizer = merging();

  test("the final part of a response that thought is what follows its thoughts", () => {
    const text = "<think>\nSo 6*7 = 42.\n\nLet me check: 42/7 = 6.\nSo the answer is 42.\n</think>\n\n\\boxed{42}";
    expect(cutText("fcs", math, tokenizer, text, "42")).toBe("<think>\nSo 6*7 = 42.\n\n</think>\n\n\\boxed{42}<|end|>");
    expect(cutText("fcs_reflection", math, tokenizer, text, "42")).toBe(`${text}<|end|>`);
  });

  test("white space parts the two as it does in the response", () => {
    // The line end before the final part is of a token with a full stop, that behind the solution is by itself.
    expect(cutText("fcs", math, tokenizer, "6*7 = 42\n\nI think so.\n\nThus \\boxed{42}", "42")).toBe(
      "6*7 = 42\n\nThus \\boxed{42}<|end|>",
    );
    expect(cutText("fcs", math, tokenizer, "6*7 = 42.\n\nLet me see\n\nThus \\boxed{42}", "42")).toBe(
      "6*7 = 42.\n\nThus \\boxed{42}<|end|>",
    );
  });

  test("one that marks its answer ends there, by its stop token or its stop string", () => {
    const text = "\\boxed{42} 🙂\n\nLet me check: 42/7 = 6. So \\boxed{42}";
    expect(cutText("fcs", math, tokenizer, text, "42")).toBe("\\boxed{42} 🙂<|end|>");
    expect(cutText("fcs", math, tokenizer, text, "42", "\n\nUser:")).toBe("\\boxed{42} 🙂\n\nUser:");
  });

  test("what the task does not judge to be correct is not used", () => {
    const strict = { ...math, judge: () => ({ correct: false, extracted: "", gold: "", reason: "" }) };
    expect(cutText("fcs", strict, tokenizer, "6*7 = 42\n\n\\boxed{42}", "42")).toBeNull();
  });
});

/** A cut response is a beginning of the whole one and an end of it, together at most as long. */
function expectCut(left: readonly number[], tokenIds: readonly number[]) {
  expect(left.length).toBeLessThanOrEqual(tokenIds.length);
  const equal = left.findIndex((id, i) => id !== tokenIds[i]);
  const head = equal < 0 ? left.length : equal;
  const tail = left.findLastIndex((id, i) => id !== tokenIds[i + tokenIds.length - left.length]) + 1;
  expect(tail).toBeLessThanOrEqual(head); // every token is of the beginning or of the end
  expect(left.at(-1)).toBe(tokenIds.at(-1));
}

test("of any demonstration the right passes are cut: a beginning and its own end, judged correct, ending in the right pass", () => {
  const end = reasoner.tokenId("<|end|>")!;
  fc.assert(
    fc.property(fc.nat(arithmetic.train.length - 1), fc.nat(), fc.constantFrom(...SOLUTION_CUTS), (i, seed, cut) => {
      const asked = arithmetic.train[i]!;
      const text = arithmetic.demonstration!(asked, seed);
      fc.pre(arithmetic.judge(asked, text).correct);
      const tokenIds = [...reasoner.encode(text, { addSpecialTokens: false }), end];
      const stops = { stopTokenIds: [end], stop: [] };
      const left = cutResponse(
        cut,
        { problem: asked, text, tokenIds },
        { tokenizer: reasoner, task: arithmetic, ...stops },
      );
      if (cut === "fcs") expect(left).not.toBeNull();
      if (!left) return;
      expectCut(left, tokenIds);
      const said = reasoner.decode(left.slice(0, -1), { skipSpecialTokens: false });
      expect(arithmetic.judge(asked, said).correct).toBe(true);
      // Cut as it is, it is whole: what was kept is what is kept of it.
      const again = cutResponse(
        cut,
        { problem: asked, text: said, tokenIds: left },
        { tokenizer: reasoner, task: arithmetic, ...stops },
      );
      expect(again).toEqual(left);
      const passes = Array.from(said.matchAll(/=(\d+)$/gm));
      if (passes.length > 0 && left.length < tokenIds.length) expect(passes.at(-1)![1]).toBe(asked.answer);
    }),
    { numRuns: 300 },
  );
});

test("of any prose the same", () => {
  const tokenizer = merging();
  const end = tokenizer.tokenId("<|end|>")!;
  const piece = fc.constantFrom(
    ..."1+2=3|2+2=4|3-1=2.|Well.|The answer is 3.|So \\boxed{3}.|\n|\n\n|.\n\n|</think>|é🙂".split("|"),
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 15 }),
      fc.constantFrom(...SOLUTION_CUTS),
      fc.boolean(),
      (pieces, cut, byString) => {
        const text = `${pieces.join("")}\\boxed{3}`;
        const stop = byString ? ["\nUser"] : [];
        fc.pre(!text.includes("\nUser"));
        const tokenIds = byString
          ? tokenizer.encode(`${text}\nUser`, { addSpecialTokens: false })
          : [...tokenizer.encode(text, { addSpecialTokens: false }), end];
        const rollout = { problem: problem("3"), text, tokenIds };
        const left = cutResponse(cut, rollout, { tokenizer, task: math, stopTokenIds: [end], stop });
        if (!left) return;
        expectCut(left, tokenIds);
        const said = tokenizer.decode(left, { skipSpecialTokens: true });
        expect(math.judge(problem("3"), byString ? said.slice(0, -"\nUser".length) : said).correct).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});

test("of a group, the shortest of the cut responses goes with the longest correct one", () => {
  const group = [[1, 1, 1, 1], [2, 2, 2], [3, 3, 3, 3, 3], [4]].map((tokenIds, i) => ({
    promptTokenIds: [7],
    tokenIds,
    length: tokenIds.length,
    finishReason: "stop",
    correct: i < 3,
  })) as unknown as Rollout[];
  const cutTo = (lengths: Record<number, number>) => (rollout: Rollout) => {
    const length = lengths[rollout.tokenIds[0]!];
    return length === undefined ? null : rollout.tokenIds.slice(0, length);
  };
  const longest = [3, 3, 3, 3, 3];
  expect(selectResponses([group], cutTo({ 1: 2, 3: 2, 4: 1 }))).toEqual([
    { promptTokenIds: [7], shortest: [1, 1], longest },
  ]);
  expect(selectResponses([group], cutTo({ 3: 5 }))).toEqual([
    { promptTokenIds: [7], shortest: longest, longest: null },
  ]);
  expect(selectResponses([group], cutTo({}))).toEqual([]);
});
