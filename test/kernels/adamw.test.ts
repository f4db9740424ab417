import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import type { DType, Tensor } from "../../src/gpu/tensor.ts";
import { adamwStep, type AdamwStep } from "../../src/kernels/adamw.ts";
import * as twin from "../../src/reference/adamw.ts";
import { adamwFixture } from "../helpers/adamw-fixture.ts";
import { relativeL2 } from "../../src/verify/check.ts";
import { expectClose, f64, guarded, randn, stored, STORAGES, testGpu } from "../helpers/gpu.ts";

const options = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 };

const CASES = STORAGES.flatMap((storage) => [77, 130].map((n) => ({ storage, n })));

test.each(CASES)("7 steps of $n numbers in $storage", async ({ storage, n }) => {
  const gpu = await testGpu();
  const rec = gpu.recorder();
  const start = randn(1, n);
  const [param, m, v, masterF32] = [
    guarded(gpu, [n], storage),
    ...[0, 1, 2].map(() => guarded(gpu, [n], "f32")),
  ] as const;
  gpu.write(param.tensor, start);
  gpu.write(masterF32!.tensor, start);
  gpu.write(m!.tensor, new Float32Array(n));
  gpu.write(v!.tensor, new Float32Array(n));
  const master = storage === "bf16" ? masterF32!.tensor : undefined;
  const state = { master: f64(start), m: new Float64Array(n), v: new Float64Array(n) };

  for (let step = 1; step <= 7; step++) {
    // Gradients of very different sizes, and none at all for one number.
    const grad = randn(10 + step, n).map((g, i) => (i === 5 ? 0 : g * 10 ** ((i % 7) - 5)));
    const clip = step % 2 ? 1 : Math.fround(0.3);
    adamwStep(rec, {
      param: param.tensor,
      master,
      m: m!.tensor,
      v: v!.tensor,
      grad: gpu.upload(grad, [n], "f32"),
      clip: gpu.upload(new Float32Array([123, clip]), [2], "f32"),
      ...options,
      step,
    });
    twin.adamwStep({ ...state, grad: f64(grad), clip, ...options, step });
  }
  const gotMaster = await gpu.readF32(master ?? param.tensor);
  expectClose(gotMaster, state.master, { rtol: 2e-6, atol: 2e-7 });
  expectClose(await gpu.readF32(m!.tensor), state.m, { rtol: 1e-5, atol: 1e-10 });
  expectClose(await gpu.readF32(v!.tensor), state.v, { rtol: 1e-5, atol: 1e-20 });
  expect(await gpu.readF32(param.tensor)).toEqual(stored(gotMaster, storage));
  for (const tensor of [param, m!, v!]) await tensor.expectUntouched();
  if (master) await masterF32!.expectUntouched();
});

test("5 steps of torch.optim.AdamW", async () => {
  const gpu = await testGpu();
  const { param: start, grads, after, options: torch } = await adamwFixture();
  const n = start.length;
  const tensors = { param: gpu.upload(start, [n], "f32"), m: gpu.zeros([n], "f32"), v: gpu.zeros([n], "f32") };
  const clip = gpu.upload(new Float32Array([0, 1]), [2], "f32");
  grads.forEach((g, i) => {
    adamwStep(gpu.recorder(), { ...tensors, grad: gpu.upload(g, [n], "f32"), clip, ...torch, step: i + 1 });
  });
  expect(relativeL2(await gpu.readF32(tensors.param), after.param)).toBeLessThan(1e-6);
  expect(relativeL2(await gpu.readF32(tensors.m), after.m)).toBeLessThan(1e-6);
  expect(relativeL2(await gpu.readF32(tensors.v), after.v)).toBeLessThan(1e-6);
});

describe("bf16 state, rounded stochastically", () => {
  const rounding = { seed: 7 + 2 ** 40, stream: 3 };

  /** Every number is the twin's or its neighbour in bf16, and all but a few, which lie on the edge, the twin's. */
  function expectRounded(got: Float32Array, want: Float64Array): void {
    expectClose(got, want, { rtol: 2 ** -7, atol: 0 });
    expect(got.filter((value, i) => value !== want[i]).length).toBeLessThanOrEqual(Math.ceil(0.01 * want.length));
  }

  test.each(CASES)("7 steps of $n numbers in $storage, each from the state before it", async ({ storage, n }) => {
    const gpu = await testGpu();
    const [param, m, v] = [guarded(gpu, [n], storage), guarded(gpu, [n], "bf16"), guarded(gpu, [n], "bf16")] as const;
    gpu.write(param.tensor, randn(1, n));
    gpu.write(m.tensor, new Float32Array(n));
    gpu.write(v.tensor, new Float32Array(n));
    const read = () => gpu.readAllF32([param.tensor, m.tensor, v.tensor]);
    for (let step = 1; step <= 7; step++) {
      const [valueBefore, mBefore, vBefore] = await read();
      const grad = randn(10 + step, n).map((g, i) => (i === 5 ? 0 : g * 10 ** ((i % 7) - 5)));
      const clip = step % 2 ? 1 : Math.fround(0.3);
      adamwStep(gpu.recorder(), {
        param: param.tensor,
        m: m.tensor,
        v: v.tensor,
        grad: gpu.upload(grad, [n], "f32"),
        clip: gpu.upload(new Float32Array([123, clip]), [2], "f32"),
        ...options,
        step,
        rounding,
      });
      const want = { master: f64(valueBefore!), m: f64(mBefore!), v: f64(vBefore!) };
      const twinRounding = { ...rounding, param: storage === "bf16" };
      twin.adamwStep({ ...want, grad: f64(grad), clip, ...options, step, rounding: twinRounding });
      const [value, mean, variance] = await read();
      if (storage === "bf16") expectRounded(value!, want.master);
      else expectClose(value!, want.master, { rtol: 2e-6, atol: 2e-7 });
      expectRounded(mean!, want.m);
      expectRounded(variance!, want.v);
    }
    for (const tensor of [param, m, v]) await tensor.expectUntouched();
  });

  /** From a state of zeros, how each of `n` equal elements was rounded in one step on a gradient of 1. */
  async function rounded(n: number, { step = 1, stream = 0, seed = 1 } = {}) {
    const gpu = await testGpu();
    const [param, m, v] = [gpu.zeros([n], "bf16"), gpu.zeros([n], "bf16"), gpu.zeros([n], "bf16")];
    const grad = gpu.upload(new Float32Array(n).fill(1), [n], "f32");
    const clip = gpu.upload(new Float32Array([1, 1]), [2], "f32");
    const state = { param, m, v, grad, clip };
    adamwStep(gpu.recorder(), { ...state, ...options, step, rounding: { seed, stream } });
    const [value, mean, variance] = await gpu.readAllF32([param, m, v]);
    gpu.release(param, m, v, grad, clip);
    return { value: value!, mean: mean!, variance: variance! };
  }

  const N = 2 ** 17;
  const average = (values: Float32Array) => values.reduce((a, b) => a + b, 0) / values.length;

  test("is right in the mean", async () => {
    const { value, mean, variance } = await rounded(N);
    // 0.1, 0.05 and -0.01 are no bf16 numbers.
    for (const [values, want] of [
      [mean, 1 - 0.9],
      [variance, 1 - 0.95],
      [value, -0.01],
    ] as const) {
      const neighbours = new Set(values);
      expect(neighbours.size).toBe(2);
      const spread = Math.max(...neighbours) - Math.min(...neighbours);
      // Five standard deviations of the mean of N such draws, which is at most half the spread over sqrt(N).
      expect(Math.abs(average(values) - want)).toBeLessThan((5 * 0.5 * spread) / Math.sqrt(N));
      expect(spread).toBeLessThan(Math.abs(want) * 2 ** -7);
    }
  });

  test("rounds neighbours, moments, steps, parameters and seeds independently, and alike when repeated", async () => {
    const up = (values: Float32Array) => {
      const highest = Math.max(...new Set(values));
      return Float64Array.from(values, (value) => Number(value === highest));
    };
    const { mean, variance, value } = await rounded(N);
    const first = up(mean);
    const share = first.reduce((a, b) => a + b, 0) / N;
    const correlation = (a: Float64Array, b: Float64Array) => {
      const of = (x: Float64Array) => x.reduce((sum, y) => sum + y, 0) / x.length;
      const product = a.reduce((sum, x, i) => sum + x * b[i]!, 0) / a.length - of(a) * of(b);
      return product / Math.sqrt(of(a) * (1 - of(a)) * of(b) * (1 - of(b)));
    };
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThan(0.9);
    const even = first.filter((_, i) => i % 2 === 0);
    const odd = first.filter((_, i) => i % 2 === 1);
    expect(Math.abs(correlation(even, odd))).toBeLessThan(5 / Math.sqrt(N / 2));
    expect(Math.abs(correlation(even.slice(1), odd.slice(0, -1)))).toBeLessThan(5 / Math.sqrt(N / 2));
    for (const other of [
      up(variance),
      up(value),
      up((await rounded(N, { step: 2 })).mean),
      up((await rounded(N, { stream: 1 })).mean),
      up((await rounded(N, { seed: 2 })).mean),
      up((await rounded(N, { seed: 1 + 2 ** 32 })).mean),
    ])
      expect(Math.abs(correlation(first, other))).toBeLessThan(5 / Math.sqrt(N));
    expect((await rounded(N)).mean).toEqual(mean);
  });

  test("reaches a minimum that rounding to nearest never leaves the start for", async () => {
    const gpu = await testGpu();
    const n = 64;
    const goal = 1.5;
    const clip = gpu.upload(new Float32Array([1, 1]), [2], "f32");
    // A tenth of the last bit of numbers from 1 to 2.
    const adam = { ...options, learningRate: 2 ** -7 / 10, weightDecay: 0 };
    const train = async (step: (param: Tensor, grad: Tensor, t: number) => Promise<void>) => {
      const param = gpu.upload(new Float32Array(n).fill(1), [n], "bf16");
      for (let t = 1; t <= 1000; t++) {
        const grad = (await gpu.readF32(param)).map((w) => 2 * (w - goal));
        await step(param, gpu.upload(grad, [n], "f32"), t);
      }
      return gpu.readF32(param);
    };
    const f32 = { m: gpu.zeros([n], "f32"), v: gpu.zeros([n], "f32"), master: gpu.empty([n], "f32") };
    const nearest = await train(async (param, grad, step) => {
      gpu.write(f32.master, await gpu.readF32(param));
      adamwStep(gpu.recorder(), { param, grad, clip, ...f32, ...adam, step });
    });
    const bf16 = { m: gpu.zeros([n], "bf16"), v: gpu.zeros([n], "bf16") };
    const stochastic = await train(async (param, grad, step) =>
      adamwStep(gpu.recorder(), { param, grad, clip, ...bf16, ...adam, step, rounding }),
    );
    expect(new Set(nearest)).toEqual(new Set([1]));
    expect(Math.abs(average(stochastic) - goal)).toBeLessThan(0.01);
    expect(Math.max(...stochastic.map((w) => Math.abs(w - goal)))).toBeLessThan(0.1);
  });

  test("moments and rounding belong together, and a master to f32 moments", async () => {
    const gpu = await testGpu();
    const of = (dtype: DType) => gpu.zeros([4], dtype);
    const step = (param: DType, m: DType, v: DType, rest: Partial<AdamwStep>) => () =>
      adamwStep(gpu.recorder(), {
        param: of(param),
        m: of(m),
        v: of(v),
        grad: of("f32"),
        clip: gpu.zeros([2], "f32"),
        ...options,
        step: 1,
        ...rest,
      });
    expect(step("bf16", "bf16", "bf16", {})).toThrow(/bf16 moments with stochastic rounding/);
    expect(step("f32", "f32", "f32", { rounding })).toThrow(ShapeError);
    expect(step("bf16", "bf16", "f32", { rounding })).toThrow(ShapeError);
    expect(step("bf16", "bf16", "bf16", { rounding, master: of("f32") })).toThrow(/none otherwise/);
  });
});

test("a bf16 parameter without a master, or sizes that differ, are refused", async () => {
  const gpu = await testGpu();
  const f32 = (n: number) => gpu.zeros([n], "f32");
  const state = { m: f32(4), v: f32(4), grad: f32(4), clip: f32(2), ...options, step: 1 };
  expect(() => adamwStep(gpu.recorder(), { param: gpu.zeros([4], "bf16"), ...state })).toThrow(ShapeError);
  expect(() => adamwStep(gpu.recorder(), { param: f32(4), master: f32(4), ...state })).toThrow(ShapeError);
  expect(() => adamwStep(gpu.recorder(), { param: f32(6), ...state })).toThrow(/param \[6\]/);
});
