import { expect, test } from "vitest";
import * as twin from "../../src/reference/linear.ts";
import { dot, expectGradient } from "../helpers/finite-difference.ts";
import { f64, randn } from "../helpers/gpu.ts";

const [rows, inputs, outputs] = [3, 4, 5];
const shape = { inputs, outputs };
const x = f64(randn(1, rows * inputs));
const weight = f64(randn(2, outputs * inputs));
const bias = f64(randn(3, outputs));
const dy = f64(randn(4, rows * outputs));
const loss = () => dot(twin.linearForward({ x, weight, bias, ...shape }), dy);

test("y = x W^T + bias by hand", () => {
  const y = twin.linearForward({
    x: f64([1, 2]),
    weight: f64([3, 4, 5, 6]),
    bias: f64([10, 20]),
    inputs: 2,
    outputs: 2,
  });
  expect(Array.from(y)).toEqual([21, 37]);
});

test("the gradients are those of the forward pass", () => {
  expectGradient(twin.linearBackwardInput({ dy, weight, ...shape }), loss, x);
  expectGradient(twin.linearBackwardWeight({ x, dy, ...shape }), loss, weight);
  expectGradient(twin.linearBackwardBias({ dy, outputs }), loss, bias);
});
