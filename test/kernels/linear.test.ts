import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import * as kernel from "../../src/kernels/linear.ts";
import type { Storage } from "../../src/gpu/tensor.ts";
import type { Tier } from "../../src/gpu/tier.ts";
import * as twin from "../../src/reference/linear.ts";
import { swigluForward as swigluTwin } from "../../src/reference/swiglu.ts";
import { expectClose, f64, guarded, randn, stored, STORAGES, testGpu, tiersHere } from "../helpers/gpu.ts";

/**
 * |got - want| against the sum of the terms' magnitudes: the bound that rounding obeys, outliers or not. `rounding` is the largest
 * relative error of a term whose operands are rounded before they are multiplied.
 */
function expectRounded(got: Float32Array, want: Float64Array, magnitude: Float64Array, rounding = 0): void {
  const scaled = (values: Float32Array | Float64Array) => Float64Array.from(magnitude, (m, i) => values[i]! / m);
  expect(got.length).toBe(want.length);
  expectClose(scaled(got), scaled(want), { rtol: 0, atol: rounding + 1e-6 });
}

/** Of an operand that is no weight: subgroup matrices take it as f16, with 11 bits. */
const roundingOf = (tier: Tier, storage: Storage) => (tier === "matrices" && storage === "bf16" ? 2 ** -11 : 0);

const abs = (values: Float32Array) => f64(values.map(Math.abs));

/** Standard normal numbers, one in 50 of them a thousand times larger. */
const outliers = (seed: number, n: number) => randn(seed, n).map((v, i) => (i % 50 === 7 ? 1000 * v : v));

// Around the tiles of 8 x 8 and the workgroups of 32 rows x 64 columns.
const SHAPES = [
  { rows: 1, inputs: 2, outputs: 2 },
  { rows: 37, inputs: 70, outputs: 66 },
  { rows: 32, inputs: 8, outputs: 64 },
  { rows: 5, inputs: 146, outputs: 18 },
];

const CASES = (await tiersHere()).flatMap((tier) => STORAGES.map((storage) => ({ tier, storage })));

describe.each(CASES)("linear in $storage, $tier", ({ tier, storage }) => {
  const rounding = roundingOf(tier, storage);

  test.each(SHAPES)("forward $rows x $inputs -> $outputs", async ({ rows, inputs, outputs }) => {
    const gpu = await testGpu(tier);
    const x = outliers(1, rows * inputs);
    const weight = stored(randn(2, outputs * inputs), storage);
    const bias = stored(randn(3, outputs), storage);
    const start = randn(4, rows * outputs);
    const tensors = {
      x: gpu.upload(x, [rows, inputs], "f32"),
      weight: gpu.upload(weight, [outputs, inputs], storage),
      bias: gpu.upload(bias, [outputs], storage),
    };
    const shape = { inputs, outputs };
    const want = twin.linearForward({ x: f64(x), weight: f64(weight), bias: f64(bias), ...shape });
    const magnitude = twin.linearForward({ x: abs(x), weight: abs(weight), bias: abs(bias), ...shape });
    const noBias = twin.linearForward({ x: f64(x), weight: f64(weight), ...shape });

    const y = guarded(gpu, [rows, outputs], "f32");
    kernel.linearForward(gpu.recorder(), { ...tensors, y: y.tensor });
    expectRounded(await gpu.readF32(y.tensor), want, magnitude);
    await y.expectUntouched();

    const residual = gpu.upload(start, [rows, outputs], "f32");
    kernel.linearForward(gpu.recorder(), { ...tensors, residual, y: y.tensor });
    expectRounded(
      await gpu.readF32(y.tensor),
      want.map((v, i) => v + start[i]!),
      magnitude.map((m, i) => m + Math.abs(start[i]!)),
    );
    await y.expectUntouched();

    const logits = guarded(gpu, [rows, outputs], "f32");
    kernel.linearLogits(gpu.recorder(), {
      x: tensors.x,
      weight: tensors.weight,
      row0: 0,
      rows: outputs,
      logits: logits.tensor,
    });
    expectRounded(await gpu.readF32(logits.tensor), noBias, magnitude);
    await logits.expectUntouched();

    kernel.linearForward(gpu.recorder(), { x: tensors.x, weight: tensors.weight, y: y.tensor });
    const product = await gpu.readF32(y.tensor);
    expect(product).toEqual(await gpu.readF32(logits.tensor));

    kernel.linearForward(gpu.recorder(), { x: tensors.x, weight: tensors.weight, y: y.tensor, scale: 0.7 });
    const scale = Math.fround(0.7);
    expect(await gpu.readF32(y.tensor)).toEqual(product.map((v) => scale * v));
  });

  test.each(SHAPES)("gated $rows x $inputs -> $outputs", async ({ rows, inputs, outputs }) => {
    const gpu = await testGpu(tier);
    const rec = gpu.recorder();
    const x = gpu.upload(randn(1, rows * inputs), [rows, inputs], "f32");
    const [gateWeight, upWeight] = [2, 3].map((seed) =>
      gpu.upload(stored(randn(seed, outputs * inputs), storage), [outputs, inputs], storage),
    );
    const [gate, up] = [1, 2].map(() => guarded(gpu, [rows, outputs], storage));
    const [y, unkept] = [1, 2].map(() => guarded(gpu, [rows, outputs], "f32"));
    const tensors = { x, gateWeight: gateWeight!, upWeight: upWeight! };
    kernel.linearSwiglu(rec, { ...tensors, gate: gate!.tensor, up: up!.tensor, y: y!.tensor });

    const [gateAlone, upAlone] = [gateWeight!, upWeight!].map((weight) => {
      const alone = gpu.empty([rows, outputs], "f32");
      kernel.linearForward(rec, { x, weight, y: alone });
      return alone;
    });
    const [gates, ups] = await gpu.readAllF32([gateAlone!, upAlone!]);
    expect(await gpu.readF32(gate!.tensor)).toEqual(stored(gates!, storage));
    expect(await gpu.readF32(up!.tensor)).toEqual(stored(ups!, storage));
    expectClose(await gpu.readF32(y!.tensor), swigluTwin({ gate: f64(gates!), up: f64(ups!) }), {
      rtol: 1e-6,
      atol: 1e-7,
    });
    kernel.linearSwiglu(rec, { ...tensors, y: unkept!.tensor });
    expect(await gpu.readF32(unkept!.tensor)).toEqual(await gpu.readF32(y!.tensor));

    for (const output of [gate, up, y, unkept]) await output!.expectUntouched();
  });

  test.each(SHAPES)("backward $rows x $inputs -> $outputs", async ({ rows, inputs, outputs }) => {
    const gpu = await testGpu(tier);
    const rec = gpu.recorder();
    const shape = { inputs, outputs };
    const x = outliers(1, rows * inputs);
    const weight = stored(randn(2, outputs * inputs), storage);
    const dy = outliers(3, rows * outputs);
    const tensors = {
      x: gpu.upload(x, [rows, inputs], "f32"),
      weight: gpu.upload(weight, [outputs, inputs], storage),
      dy: gpu.upload(dy, [rows, outputs], "f32"),
    };

    const wantDx = twin.linearBackwardInput({ dy: f64(dy), weight: f64(weight), ...shape });
    const magnitudeDx = twin.linearBackwardInput({ dy: abs(dy), weight: abs(weight), ...shape });
    const dx = guarded(gpu, [rows, inputs], "f32");
    kernel.linearBackwardInput(rec, { ...tensors, dx: dx.tensor, accumulate: false });
    expectRounded(await gpu.readF32(dx.tensor), wantDx, magnitudeDx, rounding);
    kernel.linearBackwardInput(rec, { ...tensors, dx: dx.tensor, accumulate: true });
    expectRounded(
      await gpu.readF32(dx.tensor),
      wantDx.map((v) => 2 * v),
      magnitudeDx.map((m) => 2 * m),
      rounding,
    );
    kernel.linearBackwardInput(rec, { ...tensors, dx: dx.tensor, accumulate: false });
    const product = await gpu.readF32(dx.tensor);
    kernel.linearBackwardInput(rec, { ...tensors, dx: dx.tensor, accumulate: false, scale: 0.7 });
    const scale = Math.fround(0.7);
    expect(await gpu.readF32(dx.tensor)).toEqual(product.map((v) => scale * v));
    await dx.expectUntouched();

    const wantDweight = twin.linearBackwardWeight({ x: f64(x), dy: f64(dy), ...shape });
    const magnitudeDweight = twin.linearBackwardWeight({ x: abs(x), dy: abs(dy), ...shape });
    const dweight = guarded(gpu, [outputs, inputs], "f32");
    gpu.write(dweight.tensor, new Float32Array(outputs * inputs).fill(0.5));
    const { dy: dyTensor, x: xTensor } = tensors;
    kernel.linearBackwardWeight(rec, { x: xTensor, dy: dyTensor, dweight: dweight.tensor, storage });
    expectRounded(
      await gpu.readF32(dweight.tensor),
      wantDweight.map((v) => v + 0.5),
      magnitudeDweight.map((m) => m + 0.5),
      rounding * (2 + rounding),
    );
    await dweight.expectUntouched();

    const wantDbias = twin.linearBackwardBias({ dy: f64(dy), outputs });
    const magnitudeDbias = twin.linearBackwardBias({ dy: abs(dy), outputs });
    const dbias = guarded(gpu, [outputs], "f32");
    gpu.write(dbias.tensor, new Float32Array(outputs).fill(0.5));
    kernel.linearBackwardBias(rec, { dy: tensors.dy, dbias: dbias.tensor });
    expectRounded(
      await gpu.readF32(dbias.tensor),
      wantDbias.map((v) => v + 0.5),
      magnitudeDbias.map((m) => m + 0.5),
    );
    await dbias.expectUntouched();
  });

  test("an odd vocabulary in chunks is the vocabulary whole", async () => {
    const gpu = await testGpu(tier);
    const rec = gpu.recorder();
    const [rows, inputs, vocabulary] = [9, 12, 103];
    // Of eight bits, which no tier rounds.
    const x = stored(randn(1, rows * inputs), "bf16");
    const weight = stored(randn(2, vocabulary * inputs), storage);
    const dlogits = stored(randn(3, rows * vocabulary), "bf16");
    const tensors = {
      x: gpu.upload(x, [rows, inputs], "f32"),
      weight: gpu.upload(weight, [vocabulary, inputs], storage),
    };
    const shape = { inputs, outputs: vocabulary };
    const wantLogits = twin.linearForward({ x: f64(x), weight: f64(weight), ...shape });
    const wantDx = twin.linearBackwardInput({ dy: f64(dlogits), weight: f64(weight), ...shape });
    const wantDweight = twin.linearBackwardWeight({ x: f64(x), dy: f64(dlogits), ...shape });

    const dx = guarded(gpu, [rows, inputs], "f32");
    const dweight = guarded(gpu, [vocabulary, inputs], "f32");
    gpu.write(dweight.tensor, new Float32Array(vocabulary * inputs));
    for (const [row0, end] of [
      [0, 33],
      [33, 98],
      [98, 103],
    ] as const) {
      const chunk = end - row0;
      const columns = (values: Float32Array | Float64Array) =>
        Float32Array.from(
          { length: rows * chunk },
          (_, i) => values[Math.floor(i / chunk) * vocabulary + row0 + (i % chunk)]!,
        );
      const logits = guarded(gpu, [rows, chunk], "f32");
      kernel.linearLogits(rec, { ...tensors, row0, rows: chunk, logits: logits.tensor });
      expectClose(await gpu.readF32(logits.tensor), columns(wantLogits), { rtol: 1e-5, atol: 1e-5 });
      await logits.expectUntouched();

      const dy = gpu.upload(columns(dlogits), [rows, chunk], "f32");
      kernel.linearBackwardInput(rec, { dy, weight: tensors.weight, row0, dx: dx.tensor, accumulate: row0 > 0 });
      kernel.linearBackwardWeight(rec, { x: tensors.x, dy, row0, dweight: dweight.tensor, storage });
    }
    expectClose(await gpu.readF32(dx.tensor), wantDx, { rtol: 1e-5, atol: 2e-5 });
    expectClose(await gpu.readF32(dweight.tensor), wantDweight, { rtol: 1e-5, atol: 1e-5 });
    await dx.expectUntouched();
    await dweight.expectUntouched();
  });

  test("a row has the same bits alone and anywhere in a batch", async () => {
    const gpu = await testGpu(tier);
    const rec = gpu.recorder();
    const [rows, inputs, outputs] = [67, 94, 70];
    const x = outliers(1, rows * inputs);
    const dy = outliers(2, rows * outputs);
    const weight = gpu.upload(randn(3, outputs * inputs), [outputs, inputs], storage);
    const bias = gpu.upload(randn(4, outputs), [outputs], storage);
    const run = async (first: number, count: number) => {
      const xs = gpu.upload(x.subarray(first * inputs, (first + count) * inputs), [count, inputs], "f32");
      const dys = gpu.upload(dy.subarray(first * outputs, (first + count) * outputs), [count, outputs], "f32");
      const y = gpu.empty([count, outputs], "f32");
      const added = gpu.empty([count, outputs], "f32");
      const logits = gpu.empty([count, 33], "f32");
      const dx = gpu.empty([count, inputs], "f32");
      kernel.linearForward(rec, { x: xs, weight, bias, y });
      kernel.linearForward(rec, { x: xs, weight, residual: dys, y: added });
      kernel.linearLogits(rec, { x: xs, weight, row0: 31, rows: 33, logits });
      kernel.linearBackwardInput(rec, { dy: dys, weight, dx, accumulate: false });
      const results = [y, added, logits, dx];
      return Promise.all(results.map(async (t) => ({ width: t.shape[1]!, values: await gpu.readF32(t) })));
    };
    const whole = await run(0, rows);
    for (const row of [0, 7, 8, 31, 32, 66]) {
      const alone = await run(row, 1);
      alone.forEach(({ width, values }, i) => {
        expect(values).toEqual(whole[i]!.values.slice(row * width, (row + 1) * width));
      });
    }
  });
});

test("an empty batch is no work", async () => {
  const gpu = await testGpu();
  const x = gpu.empty([0, 4], "f32");
  const weight = gpu.zeros([6, 4], "f32");
  kernel.linearForward(gpu.recorder(), { x, weight, y: gpu.empty([0, 6], "f32") });
  const dweight = gpu.upload(new Float32Array(24).fill(1), [6, 4], "f32");
  kernel.linearBackwardWeight(gpu.recorder(), { x, dy: gpu.empty([0, 6], "f32"), dweight });
  expect(await gpu.readF32(dweight)).toEqual(new Float32Array(24).fill(1));
});

test("shapes that do not fit are named", async () => {
  const gpu = await testGpu();
  const rec = gpu.recorder();
  const x = gpu.zeros([3, 4], "f32");
  const y = gpu.zeros([3, 6], "f32");
  expect(() => kernel.linearForward(rec, { x, weight: gpu.zeros([6, 8], "f32"), y })).toThrow(
    /linear_forward.*x \[3,4\], weight \[6,8\]/,
  );
  expect(() => kernel.linearForward(rec, { x, weight: gpu.zeros([5, 4], "f32"), y: gpu.zeros([3, 5], "f32") })).toThrow(
    ShapeError,
  );
  const weight = gpu.zeros([6, 4], "f32");
  expect(() => kernel.linearForward(rec, { x: gpu.zeros([3, 4], "bf16"), weight, y })).toThrow(/x cannot be bf16/);
  expect(() => kernel.linearForward(rec, { x, weight, residual: x, y })).toThrow(/residual \[3,4\]/);
  expect(() => kernel.linearLogits(rec, { x, weight, row0: 4, rows: 3, logits: gpu.zeros([3, 3], "f32") })).toThrow(
    /V >= 7/,
  );
});

// What one adapter sampled with subgroups, another verifies without.
test.skipIf(!(await tiersHere()).includes("subgroups"))(
  "the subgroups' bits are the baseline's [skipped without subgroups of 8 or more]",
  async () => {
    const [rows, inputs, outputs] = [37, 102, 90];
    const run = async (tier: Tier) => {
      const gpu = await testGpu(tier);
      const rec = gpu.recorder();
      const x = gpu.upload(outliers(1, rows * inputs), [rows, inputs], "f32");
      const dy = gpu.upload(outliers(2, rows * outputs), [rows, outputs], "f32");
      const weight = gpu.upload(randn(3, outputs * inputs), [outputs, inputs], "bf16");
      const bias = gpu.upload(randn(4, outputs), [outputs], "bf16");
      const y = gpu.empty([rows, outputs], "f32");
      const logits = gpu.empty([rows, 33], "f32");
      const dx = gpu.empty([rows, inputs], "f32");
      const dweight = gpu.zeros([outputs, inputs], "f32");
      kernel.linearForward(rec, { x, weight, bias, residual: dy, y });
      kernel.linearLogits(rec, { x, weight, row0: 31, rows: 33, logits });
      kernel.linearBackwardInput(rec, { dy, weight, dx, accumulate: false });
      kernel.linearBackwardWeight(rec, { x, dy, dweight });
      return Promise.all([y, logits, dx, dweight].map((tensor) => gpu.readF32(tensor)));
    };
    expect(await run("subgroups")).toEqual(await run("baseline"));
  },
);
