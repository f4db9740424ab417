import { expect, test } from "vitest";
import { globalNorm } from "../../src/reference/grad-norm.ts";
import { f64 } from "../helpers/gpu.ts";

test("the norm is over all gradients together", () => {
  const [norm, clip] = globalNorm({ grads: [f64([2, 3]), f64([6])], maxNorm: 3.5 });
  expect(norm).toBe(7);
  expect(clip).toBeCloseTo(0.5, 6);
});

test("a small gradient is not scaled up", () => {
  expect(globalNorm({ grads: [f64([0.1])], maxNorm: 1 })[1]).toBe(1);
});
