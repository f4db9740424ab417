import { describe, expect, test } from "vitest";
import { packBf16, unpackBf16 } from "../../src/core/bf16.ts";
import { adamwStep, roundingNoise, roundStochastically } from "../../src/reference/adamw.ts";
import { adamwFixture } from "../helpers/adamw-fixture.ts";
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

test("5 steps of torch.optim.AdamW", async () => {
  const { param, grads, after, options } = await adamwFixture();
  const state = { master: f64(param), m: new Float64Array(param.length), v: new Float64Array(param.length) };
  grads.forEach((grad, i) => adamwStep({ ...state, grad: f64(grad), clip: 1, ...options, step: i + 1 }));
  expect(relativeL2(state.master, after.param)).toBeLessThan(1e-7);
  expect(relativeL2(state.m, after.m)).toBeLessThan(1e-7);
  expect(relativeL2(state.v, after.v)).toBeLessThan(1e-7);
});

describe("stochastic rounding", () => {
  const float32 = (bits: number) => new Float32Array(new Uint32Array([bits]).buffer)[0]!;

  // 1, 0.1, -pi, a number with all low bits, the largest that does not overflow, the smallest normal one, subnormal ones.
  const NUMBERS = [0x3f800000, 0x3dcccccd, 0xc0490fdb, 0x3f80ffff, 0x7f7effff, 0x00800001, 0x007fffff, 0x00012345].map(
    float32,
  );

  test.each(NUMBERS)("of %d is one of the two neighbours, and %d in the mean over all noise", (x) => {
    let sum = 0;
    const results = new Set<number>();
    for (let noise = 0; noise < 65536; noise++) {
      const rounded = roundStochastically(x, noise);
      sum += rounded / 65536;
      results.add(rounded);
    }
    expect(sum).toBe(x);
    expect(results.size).toBeLessThanOrEqual(2);
    for (const result of results) expect(unpackBf16(packBf16(Float32Array.of(result)))[0]).toBe(result);
  });

  test("leaves what has no neighbours", () => {
    for (const x of [0, Infinity, -Infinity, NaN]) expect(roundStochastically(x, 65535)).toBe(x);
  });

  test("draws other bits for each element, step, parameter, seed and use", () => {
    const draws = [
      roundingNoise({ seed: 1, stream: 2 }, 3, 4),
      roundingNoise({ seed: 1, stream: 2 }, 3, 5),
      roundingNoise({ seed: 1, stream: 2 }, 3, 6),
      roundingNoise({ seed: 1, stream: 2 }, 4, 4),
      roundingNoise({ seed: 1, stream: 3 }, 3, 4),
      roundingNoise({ seed: 2, stream: 2 }, 3, 4),
      roundingNoise({ seed: 1 + 2 ** 32, stream: 2 }, 3, 4),
    ].flatMap(({ m, v, param }) => [m, v, param]);
    expect(new Set(draws).size).toBe(draws.length);
    expect(Math.max(...draws)).toBeLessThan(65536);
  });
});
