import { expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import { swigluBackward, swigluForward } from "../../src/kernels/swiglu.ts";
import * as twin from "../../src/reference/swiglu.ts";
import { expectClose, f64, guarded, randn, stored, testGpu } from "../helpers/gpu.ts";

test.each([
  [1, 2, "f32"],
  [7, 38, "bf16"],
  [3, 128, "f32"],
] as const)("%i x %i, gate and up in %s", async (rows, columns, storage) => {
  const gpu = await testGpu();
  const rec = gpu.recorder();
  const shape = [rows, columns];
  const n = rows * columns;
  // Gates far out on both sides: the sigmoid must neither overflow nor lose its tail.
  const gate = stored(
    randn(1, n).map((v, i) => (i % 19 === 5 ? 200 * v : 3 * v)),
    storage,
  );
  const up = stored(randn(2, n), storage);
  const dy = randn(3, n);
  const tensors = { gate: gpu.upload(gate, shape, storage), up: gpu.upload(up, shape, storage) };

  const y = guarded(gpu, shape, "f32");
  swigluForward(rec, { ...tensors, y: y.tensor });
  const want = twin.swigluForward({ gate: f64(gate), up: f64(up) });
  expectClose(await gpu.readF32(y.tensor), want, { rtol: 1e-6, atol: 1e-7 });
  await y.expectUntouched();

  const dgate = guarded(gpu, shape, "f32");
  const dup = guarded(gpu, shape, "f32");
  const grads = { dgate: dgate.tensor, dup: dup.tensor };
  swigluBackward(rec, { ...tensors, dy: gpu.upload(dy, shape, "f32"), ...grads });
  const wantGrad = twin.swigluBackward({ gate: f64(gate), up: f64(up), dy: f64(dy) });
  expectClose(await gpu.readF32(dgate.tensor), wantGrad.dgate, { rtol: 1e-5, atol: 1e-6 });
  expectClose(await gpu.readF32(dup.tensor), wantGrad.dup, { rtol: 5e-6, atol: 1e-7 });
  await dgate.expectUntouched();
  await dup.expectUntouched();
});

test("shapes that do not fit are named", async () => {
  const gpu = await testGpu();
  const gate = gpu.zeros([2, 4], "f32");
  const up = gpu.zeros([4, 2], "f32");
  expect(() => swigluForward(gpu.recorder(), { gate, up, y: gpu.zeros([2, 4], "f32") })).toThrow(ShapeError);
});
