import { expect, test } from "vitest";
import { encodeTokens, tokensOf } from "../../web/recordings.ts";
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

test("a sum is read as it is meant; words are none", () => {
  for (const written of ["7+8-5=?", " 7 + 8 − 5 = ? ", "7+8–5", "7\u00a0+ 8 -5="])
    expect(normalSum(written)).toBe("7+8-5=?");
  for (const none of ["", "12", "7*8", "How many apples?", "7+88", "7+8=15"]) expect(normalSum(none)).toBe(null);
});
