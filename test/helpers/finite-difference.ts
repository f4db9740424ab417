import { expectClose } from "./gpu.ts";

/**
 * The gradient of the scalar function `loss` at `x` by central differences, in float64: changes each element of x in
 * turn and restores it.
 */
export function finiteDifference(loss: () => number, x: Float64Array, h = 1e-5): Float64Array {
  return x.map((value, i) => {
    x[i] = value + h;
    const above = loss();
    x[i] = value - h;
    const below = loss();
    x[i] = value;
    return (above - below) / (2 * h);
  });
}

/** Checks a twin's gradient against finite differences of the twin's forward pass. */
export function expectGradient(got: Float64Array, loss: () => number, x: Float64Array): void {
  expectClose(got, finiteDifference(loss, x), { rtol: 1e-7, atol: 1e-8 });
}

export const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
