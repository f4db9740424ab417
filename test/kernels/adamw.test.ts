import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import { adamwStep } from "../../src/kernels/adamw.ts";
import * as twin from "../../src/reference/adamw.ts";
import { adamwFixture, adamwFixtureUrl } from "../helpers/adamw-fixture.ts";
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

test.skipIf(!existsSync(adamwFixtureUrl))(
  "5 steps of torch.optim.AdamW [skipped where ../shared is absent]",
  async () => {
    const gpu = await testGpu();
    const { param: start, grads, after, options: torch } = adamwFixture();
    const n = start.length;
    const tensors = { param: gpu.upload(start, [n], "f32"), m: gpu.zeros([n], "f32"), v: gpu.zeros([n], "f32") };
    const clip = gpu.upload(new Float32Array([0, 1]), [2], "f32");
    grads.forEach((g, i) => {
      adamwStep(gpu.recorder(), { ...tensors, grad: gpu.upload(g, [n], "f32"), clip, ...torch, step: i + 1 });
    });
    expect(relativeL2(await gpu.readF32(tensors.param), after.param)).toBeLessThan(1e-6);
    expect(relativeL2(await gpu.readF32(tensors.m), after.m)).toBeLessThan(1e-6);
    expect(relativeL2(await gpu.readF32(tensors.v), after.v)).toBeLessThan(1e-6);
  },
);

test("a bf16 parameter without a master, or sizes that differ, are refused", async () => {
  const gpu = await testGpu();
  const f32 = (n: number) => gpu.zeros([n], "f32");
  const state = { m: f32(4), v: f32(4), grad: f32(4), clip: f32(2), ...options, step: 1 };
  expect(() => adamwStep(gpu.recorder(), { param: gpu.zeros([4], "bf16"), ...state })).toThrow(ShapeError);
  expect(() => adamwStep(gpu.recorder(), { param: f32(4), master: f32(4), ...state })).toThrow(ShapeError);
  expect(() => adamwStep(gpu.recorder(), { param: f32(6), ...state })).toThrow(/param \[6\]/);
});
