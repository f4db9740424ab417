import { expect, test } from "vitest";
import { swigluBackward, swigluForward } from "../../src/reference/swiglu.ts";
import { dot, expectGradient } from "../helpers/finite-difference.ts";
import { f64, randn } from "../helpers/gpu.ts";

test("silu is 0 at 0 and the identity far to the right", () => {
  const y = swigluForward({ gate: f64([0, 50, -50]), up: f64([7, 2, 2]) });
  expect(y[0]).toBe(0);
  expect(y[1]).toBeCloseTo(100, 12);
  expect(y[2]).toBeCloseTo(0, 12);
});

test("the gradients are those of the forward pass", () => {
  const gate = f64(randn(1, 20, 3));
  const up = f64(randn(2, 20));
  const dy = f64(randn(3, 20));
  const { dgate, dup } = swigluBackward({ gate, up, dy });
  const loss = () => dot(swigluForward({ gate, up }), dy);
  expectGradient(dgate, loss, gate);
  expectGradient(dup, loss, up);
});
