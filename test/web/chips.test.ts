import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { encodeTokens, tokensOf, type Recordings } from "../../web/recordings.ts";
import { normalSum } from "../../web/sums.ts";
import { chipKinds } from "../../web/views/chips.ts";

test("a response's tokens are told apart: to its answer, over it again, the answer", () => {
  const pieces = ["7", "+8", "=", "15", "\n", "I get 15.", " Wait", "\n", "7+8=15", "\n", "\\boxed{", "15", "}", ""];
  const counts = Map.groupBy(chipKinds(pieces), (kind) => kind);
  expect(Array.from(counts, ([kind, { length }]) => [kind, length])).toEqual([
    ["work", 4],
    ["check", 6],
    ["said", 4],
  ]);
  expect(chipKinds(["7+8=150", "\\boxed{15}"])).toEqual(["work", "said"]);
  // A quick pass keeps last digits: the answer is reached where it is said.
  const quick = ["7", "+8", "~", "5", "\n", "I", " get", " ", "15", ".", " Wait", "\n", "\\boxed{", "15", "}"];
  expect(chipKinds(quick).indexOf("check")).toBe(quick.indexOf("."));
  expect(chipKinds(["never", " ends"])).toEqual(["work", "work"]);
  expect(chipKinds([])).toEqual([]);
});

test("recorded tokens come back as they were", () => {
  const vocabulary: string[] = [];
  const answers = [
    ["\\boxed{", '"', "\n", "", "1"],
    ["1", "é", "1"],
  ];
  const encoded = answers.map((answer) => encodeTokens(answer, vocabulary));
  expect(encoded.map((tokens) => tokens.length)).toEqual([5, 3]);
  const again = JSON.parse(JSON.stringify({ vocabulary, encoded })) as { vocabulary: string[]; encoded: string[] };
  expect(again.encoded.map((tokens) => tokensOf(tokens, again.vocabulary))).toEqual(answers);
});

test("the recordings are a family of alphas: scores with intervals, groups of responses, answers to 20 problems along the way", () => {
  const path = new URL("../../web/recordings.json", import.meta.url);
  const { runs, base, problems, facts } = JSON.parse(readFileSync(path, "utf8")) as Recordings;
  expect(runs.map(({ alpha }) => alpha)).toEqual([0, 0.05, 0.1, 0.2, 0.4]);
  expect(problems.length).toBe(20);
  for (const { accuracy, accuracyInterval, tokens, tokensInterval } of [base, ...runs.map(({ scores }) => scores)])
    for (const [value, [low, high]] of [
      [accuracy, accuracyInterval],
      [tokens, tokensInterval],
    ] as const)
      expect([low < value, value < high]).toEqual([true, true]);
  for (const { metrics, steps, answers, groups } of runs) {
    expect(metrics.map(({ iteration }) => iteration)).toEqual(
      Array.from({ length: facts.iterations }, (_, i) => i + 1),
    );
    expect([steps[0], steps.at(-1)]).toEqual([0, facts.iterations]);
    expect(Math.max(...steps.slice(1).map((step, i) => step - steps[i]!))).toBeLessThanOrEqual(4);
    expect(answers.map((at) => at.length)).toEqual(steps.map(() => problems.length));
    expect(groups.length).toBeGreaterThan(5);
    for (const { responses } of groups) expect(responses.length).toBe(8);
  }
});

test("a sum is read as it is meant; words are none", () => {
  for (const written of ["7+8-5=?", " 7 + 8 − 5 = ? ", "7+8–5", "7\u00a0+ 8 -5="])
    expect(normalSum(written)).toBe("7+8-5=?");
  for (const none of ["", "12", "7*8", "How many apples?", "7+88", "7+8=15"]) expect(normalSum(none)).toBe(null);
});
