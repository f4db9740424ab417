import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import type { Tier } from "../../src/gpu/tier.ts";
import { rmsnormBackward, rmsnormForward } from "../../src/kernels/rmsnorm.ts";
import * as twin from "../../src/reference/rmsnorm.ts";
import { expectClose, f64, guarded, randn, stored, STORAGES, testGpu, tiersHere } from "../helpers/gpu.ts";

const eps = 1e-6;

/** Standard normal numbers; a few are a thousand times larger, and the second row is so small that eps matters. */
const activations = (rows: number, columns: number) =>
  randn(1, rows * columns).map((v, i) => (Math.floor(i / columns) === 1 ? 1e-3 * v : i % 41 === 3 ? 1000 * v : v));

// Around the workgroups of 4 rows x 16 lanes of pairs, and of 8 columns x 32 lanes.
const SHAPES = [
  { rows: 1, columns: 2 },
  { rows: 7, columns: 30 },
  { rows: 4, columns: 32 },
  { rows: 70, columns: 130 },
];

const forwardTolerance = { rtol: 2e-6, atol: 1e-7 };
const backwardTolerance = { rtol: 2e-5, atol: 2e-5 };

const CASES = (await tiersHere()).flatMap((tier) => STORAGES.map((storage) => ({ tier, storage })));

describe.each(CASES)("rmsnorm in $storage, $tier", ({ tier, storage }) => {
  test.each(SHAPES)("$rows x $columns", async ({ rows, columns }) => {
    const gpu = await testGpu(tier);
    const rec = gpu.recorder();
    const x = activations(rows, columns);
    const weight = stored(randn(2, columns), storage);
    const dy = randn(3, rows * columns);
    const start = randn(4, rows * columns);
    const want = twin.rmsnormForward({ x: f64(x), weight: f64(weight), eps });
    const wantGrad = twin.rmsnormBackward({ x: f64(x), weight: f64(weight), rstd: want.rstd, dy: f64(dy) });

    const tensors = { x: gpu.upload(x, [rows, columns], "f32"), weight: gpu.upload(weight, [columns], storage) };
    const y = guarded(gpu, [rows, columns], "f32");
    const rstd = guarded(gpu, [rows], "f32");
    rmsnormForward(rec, { ...tensors, y: y.tensor, rstd: rstd.tensor, eps });
    expectClose(await gpu.readF32(y.tensor), want.y, forwardTolerance);
    expectClose(await gpu.readF32(rstd.tensor), want.rstd, { rtol: 2e-6, atol: 0 });
    await y.expectUntouched();
    await rstd.expectUntouched();

    const dx = guarded(gpu, [rows, columns], "f32");
    const dweight = guarded(gpu, [columns], "f32");
    gpu.write(dx.tensor, start);
    gpu.write(dweight.tensor, new Float32Array(columns).fill(0.5));
    const grads = { dx: dx.tensor, dweight: dweight.tensor };
    rmsnormBackward(rec, {
      ...tensors,
      ...grads,
      rstd: rstd.tensor,
      dy: gpu.upload(dy, [rows, columns], "f32"),
      accumulate: true,
    });
    expectClose(
      await gpu.readF32(dx.tensor),
      wantGrad.dx.map((v, i) => v + start[i]!),
      backwardTolerance,
    );
    expectClose(
      await gpu.readF32(dweight.tensor),
      wantGrad.dweight.map((v) => v + 0.5),
      backwardTolerance,
    );
    await dx.expectUntouched();
    await dweight.expectUntouched();
  });

  test.each([
    { tokens: 1, heads: 1, columns: 2 },
    { tokens: 9, heads: 3, columns: 34 },
    { tokens: 5, heads: 2, columns: 64 },
  ])("per head: $tokens x $heads x $columns", async ({ tokens, heads, columns }) => {
    const gpu = await testGpu(tier);
    const rec = gpu.recorder();
    const rows = tokens * heads;
    const shape = [tokens, heads, columns];
    const x = activations(rows, columns);
    const weight = stored(randn(2, columns), storage);
    const dy = randn(3, rows * columns);
    const want = twin.rmsnormForward({ x: f64(x), weight: f64(weight), eps });
    const wantGrad = twin.rmsnormBackward({ x: f64(x), weight: f64(weight), rstd: want.rstd, dy: f64(dy) });

    const tensors = { x: gpu.upload(x, shape, "f32"), weight: gpu.upload(weight, [columns], storage) };
    const y = guarded(gpu, shape, "f32");
    const rstd = guarded(gpu, [tokens, heads], "f32");
    rmsnormForward(rec, { ...tensors, y: y.tensor, rstd: rstd.tensor, eps });
    expectClose(await gpu.readF32(y.tensor), want.y, forwardTolerance);
    expectClose(await gpu.readF32(rstd.tensor), want.rstd, { rtol: 2e-6, atol: 0 });
    await y.expectUntouched();
    await rstd.expectUntouched();

    const dx = guarded(gpu, shape, "f32");
    const dweight = guarded(gpu, [columns], "f32");
    gpu.write(dweight.tensor, new Float32Array(columns).fill(0.5));
    const grads = { dx: dx.tensor, dweight: dweight.tensor };
    const upstream = gpu.upload(dy, shape, "f32");
    rmsnormBackward(rec, { ...tensors, ...grads, rstd: rstd.tensor, dy: upstream, accumulate: false });
    // The second row's gradients are up to 1000 times larger.
    expectClose(await gpu.readF32(dx.tensor), wantGrad.dx, { rtol: 2e-5, atol: 5e-4 });
    expectClose(
      await gpu.readF32(dweight.tensor),
      wantGrad.dweight.map((v) => v + 0.5),
      backwardTolerance,
    );
    await dx.expectUntouched();
    await dweight.expectUntouched();
  });
});

test("a row has the same bits alone and in a batch", async () => {
  const gpu = await testGpu();
  const [rows, columns] = [11, 70];
  const x = activations(rows, columns);
  const weight = gpu.upload(randn(2, columns), [columns], "f32");
  const run = async (values: Float32Array) => {
    const n = values.length / columns;
    const y = gpu.empty([n, columns], "f32");
    const rstd = gpu.empty([n], "f32");
    rmsnormForward(gpu.recorder(), { x: gpu.upload(values, [n, columns], "f32"), weight, y, rstd, eps });
    return gpu.readF32(y);
  };
  const whole = await run(x);
  for (let row = 0; row < rows; row++) {
    const at = [row * columns, (row + 1) * columns] as const;
    expect(await run(x.subarray(...at))).toEqual(whole.slice(...at));
  }
});

test("shapes that do not fit are named", async () => {
  const gpu = await testGpu();
  const [x, y, rstd] = [gpu.zeros([3, 4], "f32"), gpu.zeros([3, 4], "f32"), gpu.zeros([3], "f32")];
  const weight = gpu.zeros([6], "f32");
  expect(() => rmsnormForward(gpu.recorder(), { x, weight, y, rstd, eps })).toThrow(/rmsnorm_forward.*weight \[6\]/);
  expect(() => rmsnormForward(gpu.recorder(), { x, weight, y, rstd, eps })).toThrow(ShapeError);
});

test.skipIf((await tiersHere()).length === 1)(
  "subgroups give the baseline's bits [skipped where the baseline is all there is]",
  async () => {
    const run = async (tier: Tier, rows: number, columns: number) => {
      const gpu = await testGpu(tier);
      const rec = gpu.recorder();
      const x = gpu.upload(activations(rows, columns), [rows, columns], "f32");
      const weight = gpu.upload(randn(2, columns), [columns], "bf16");
      const dy = gpu.upload(randn(3, rows * columns), [rows, columns], "f32");
      const [y, dx] = [gpu.empty([rows, columns], "f32"), gpu.empty([rows, columns], "f32")];
      const [rstd, dweight] = [gpu.empty([rows], "f32"), gpu.zeros([columns], "f32")];
      rmsnormForward(rec, { x, weight, y, rstd, eps });
      rmsnormBackward(rec, { x, weight, rstd, dy, dx, dweight, accumulate: false });
      return gpu.readAllF32([y, rstd, dx, dweight]);
    };
    for (const { rows, columns } of SHAPES) {
      expect(await run("subgroups", rows, columns)).toEqual(await run("baseline", rows, columns));
    }
  },
);
