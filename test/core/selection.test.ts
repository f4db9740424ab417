import { expect, test } from "vitest";
import { correctByLength } from "../../src/core/selection.ts";

const response = (length: number, correct = true, finishReason: "stop" | "length" = "stop") => ({
  length,
  correct,
  finishReason,
});

test("correct responses come shortest first, the first drawn first among equals; wrong and cut-off ones not at all", () => {
  const group = [response(9), response(2, false), response(4), response(1, true, "length"), response(9), response(3)];
  expect(correctByLength(group)).toEqual([5, 2, 0, 4]);
  expect(correctByLength([response(2, false)])).toEqual([]);
});
