import { expect, test } from "vitest";
import { rmsnormBackward, rmsnormForward } from "../../src/reference/rmsnorm.ts";
import { dot, expectGradient } from "../helpers/finite-difference.ts";
import { f64, randn } from "../helpers/gpu.ts";

test("a row has root mean square 1 before the weight", () => {
  const { y, rstd } = rmsnormForward({ x: f64([3, -4, 0, 0]), weight: f64([1, 1, 1, 2]), eps: 0 });
  expect(rstd[0]).toBeCloseTo(1 / 2.5, 15);
  expect(Array.from(y)).toEqual([3 / 2.5, -4 / 2.5, 0, 0].map((v) => expect.closeTo(v, 15)));
});

test("the gradients are those of the forward pass", () => {
  const eps = 0.1; // large enough to matter
  const x = f64(randn(1, 15));
  const weight = f64(randn(2, 5));
  const dy = f64(randn(3, 15));
  const { rstd } = rmsnormForward({ x, weight, eps });
  const { dx, dweight } = rmsnormBackward({ x, weight, rstd, dy });
  const loss = () => dot(rmsnormForward({ x, weight, eps }).y, dy);
  expectGradient(dx, loss, x);
  expectGradient(dweight, loss, weight);
});
