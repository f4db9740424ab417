import { expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import { globalNorm, partialSums } from "../../src/kernels/grad-norm.ts";
import * as twin from "../../src/reference/grad-norm.ts";
import { expectClose, f64, guarded, randn, testGpu } from "../helpers/gpu.ts";

const SIZES = [1, 63, 8192, 8193, 40_001];

test.each([1, 1e6])("norm and clipping factor over gradients of many sizes, at most %f", async (maxNorm) => {
  const gpu = await testGpu();
  const values = SIZES.map((n, i) => randn(i, n, 10 ** (i - 2)).map((v, j) => (j === n - 1 ? 30 * v : v)));
  // Followed by canaries that must not count.
  const grads = SIZES.map((n) => guarded(gpu, [n], "f32").tensor);
  grads.forEach((grad, i) => gpu.write(grad, values[i]!));
  const partials = guarded(gpu, [partialSums(SIZES)], "f32");
  const out = guarded(gpu, [2], "f32");
  globalNorm(gpu.recorder(), { grads, partials: partials.tensor, out: out.tensor, maxNorm });
  const got = await gpu.readF32(out.tensor);
  expectClose(got, twin.globalNorm({ grads: values.map(f64), maxNorm }), { rtol: 1e-6, atol: 0 });
  if (maxNorm === 1e6) expect(got[1]).toBe(1);
  await partials.expectUntouched();
  await out.expectUntouched();
});

test("gradients of 0 are neither scaled nor divided by", async () => {
  const gpu = await testGpu();
  const out = gpu.empty([2], "f32");
  const grads = [gpu.zeros([10], "f32")];
  globalNorm(gpu.recorder(), { grads, partials: gpu.empty([1], "f32"), out, maxNorm: 1 });
  expect(Array.from(await gpu.readF32(out))).toEqual([0, 1]);
});

test("a tiny norm is divided by with 1e-6 more", async () => {
  const gpu = await testGpu();
  const out = gpu.empty([2], "f32");
  const values = new Float32Array([2e-6]);
  const grads = [gpu.upload(values, [1], "f32")];
  globalNorm(gpu.recorder(), { grads, partials: gpu.empty([1], "f32"), out, maxNorm: 1e-6 });
  const want = twin.globalNorm({ grads: [f64(values)], maxNorm: 1e-6 });
  expectClose(await gpu.readF32(out), want, { rtol: 1e-5, atol: 0 });
});

test("too few partial sums are refused", async () => {
  const gpu = await testGpu();
  const grads = [gpu.zeros([8193], "f32")];
  const [partials, out] = [gpu.empty([1], "f32"), gpu.empty([2], "f32")];
  expect(() => globalNorm(gpu.recorder(), { grads, partials, out, maxNorm: 1 })).toThrow(ShapeError);
});
