import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { adamwStep } from "../../src/reference/adamw.ts";
import { adamwFixture, adamwFixtureUrl } from "../helpers/adamw-fixture.ts";
import { relativeL2 } from "../../src/verify/check.ts";
import { f64 } from "../helpers/gpu.ts";

test("the first step moves by the learning rate against the gradient's sign, after the decay", () => {
  const state = { master: f64([1, 1]), m: f64([0, 0]), v: f64([0, 0]) };
  const options = { learningRate: 0.1, beta1: 0.9, beta2: 0.99, eps: 0, weightDecay: 0.5, step: 1 };
  adamwStep({ ...state, grad: f64([3, -0.01]), clip: 1, ...options });
  expect(state.master[0]).toBeCloseTo(0.95 - 0.1, 12);
  expect(state.master[1]).toBeCloseTo(0.95 + 0.1, 12);
});

test("clipping scales the gradient", () => {
  const step = (grad: number, clip: number) => {
    const state = { master: f64([1]), m: f64([0.5]), v: f64([0.25]) };
    const options = { learningRate: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, step: 3 };
    adamwStep({ ...state, grad: f64([grad]), clip, ...options });
    return state.master[0];
  };
  expect(step(4, 0.25)).toBe(step(1, 1));
});

test.skipIf(!existsSync(adamwFixtureUrl))("5 steps of torch.optim.AdamW [skipped where ../shared is absent]", () => {
  const { param, grads, after, options } = adamwFixture();
  const state = { master: f64(param), m: new Float64Array(param.length), v: new Float64Array(param.length) };
  grads.forEach((grad, i) => adamwStep({ ...state, grad: f64(grad), clip: 1, ...options, step: i + 1 }));
  expect(relativeL2(state.master, after.param)).toBeLessThan(1e-7);
  expect(relativeL2(state.m, after.m)).toBeLessThan(1e-7);
  expect(relativeL2(state.v, after.v)).toBeLessThan(1e-7);
});
