import { expect, test } from "vitest";
import { ropeBackward, ropeForward } from "../../src/reference/rope.ts";
import { dot, expectGradient } from "../helpers/finite-difference.ts";
import { f64, randn } from "../helpers/gpu.ts";

test("element i turns with element i + D / 2", () => {
  // Position 1: a quarter turn of the first plane, a half turn of the second.
  const table = f64([1, 1, 0, 0, 0, -1, 1, 0]);
  const y = ropeForward({ x: f64([1, 2, 3, 4]), positions: [1], table, heads: 1, headDim: 4 });
  expect(Array.from(y)).toEqual([-3, -2, 1, -4]);
});

test("the gradient is that of the forward pass", () => {
  const [heads, headDim] = [2, 6];
  const table = f64(randn(1, 3 * headDim)); // not even a rotation: the gradient is the transposed map all the same
  const rope = { positions: [2, 0, 1], table, heads, headDim };
  const x = f64(randn(2, 3 * heads * headDim));
  const dy = f64(randn(3, x.length));
  expectGradient(ropeBackward({ dx: dy, ...rope }), () => dot(ropeForward({ x, ...rope }), dy), x);
});
