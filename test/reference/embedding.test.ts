import { expect, test } from "vitest";
import { embeddingBackward, embeddingForward } from "../../src/reference/embedding.ts";
import { dot, expectGradient } from "../helpers/finite-difference.ts";
import { f64, randn } from "../helpers/gpu.ts";

test("rows are looked up", () => {
  const out = embeddingForward({ ids: new Uint32Array([2, 0]), weight: f64([0, 1, 10, 11, 20, 21]), columns: 2 });
  expect(Array.from(out)).toEqual([20, 21, 0, 1]);
});

test("the gradient is that of the forward pass", () => {
  const ids = new Uint32Array([3, 1, 3, 3, 0]);
  const weight = f64(randn(1, 8));
  const dout = f64(randn(2, 10));
  const dweight = embeddingBackward({ ids, dout, columns: 2, vocabulary: 4 });
  expectGradient(dweight, () => dot(embeddingForward({ ids, weight, columns: 2 }), dout), weight);
});
