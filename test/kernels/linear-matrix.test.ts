import { describe, expect, test, vi } from "vitest";
import type { Gpu } from "../../src/gpu/gpu.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import type { Tier } from "../../src/gpu/tier.ts";
import { tuningShape } from "../../src/gpu/tuning.ts";
import { tilesOf } from "../../src/kernels/linear-matrix.ts";
import * as kernel from "../../src/kernels/linear.ts";
import { rmsnormRows } from "../../src/kernels/rmsnorm-pack.ts";
import { rmsnormForward } from "../../src/kernels/rmsnorm.ts";
import { swigluBackwardRows } from "../../src/kernels/swiglu-pack.ts";
import { swigluBackward, swigluForward } from "../../src/kernels/swiglu.ts";
import * as twin from "../../src/reference/linear.ts";
import { expectClose, f64, guarded, randn, stored, testGpu, tiersHere } from "../helpers/gpu.ts";
import { plannedMatrices } from "../helpers/planned-gpu.ts";

const tiers = await tiersHere();
const hasMatrices = tiers.includes("matrices");

interface Product {
  got: Float32Array;
  want: Float64Array;
  /** Sum of the terms' magnitudes, which an error is measured by. */
  magnitude: Float64Array;
}

interface Operands {
  x: Float32Array;
  weight: Float32Array;
  dy: Float32Array;
}

/** The three products of a layer with bf16 weights, and what float64 makes of them. */
async function products(
  tier: Tier,
  [rows, inputs, outputs]: readonly [number, number, number],
  { x, weight: weights, dy }: Operands,
): Promise<Record<"y" | "dx" | "dweight", Product>> {
  const gpu = await testGpu(tier);
  const rec = gpu.recorder();
  const weight = stored(weights, "bf16");
  const shape = { inputs, outputs };
  const tensors = {
    x: gpu.upload(x, [rows, inputs], "f32"),
    weight: gpu.upload(weight, [outputs, inputs], "bf16"),
    dy: gpu.upload(dy, [rows, outputs], "f32"),
  };
  const y = guarded(gpu, [rows, outputs], "f32");
  const dx = guarded(gpu, [rows, inputs], "f32");
  const dweight = guarded(gpu, [outputs, inputs], "f32");
  gpu.write(dweight.tensor, new Float32Array(outputs * inputs));
  kernel.linearForward(rec, { x: tensors.x, weight: tensors.weight, y: y.tensor });
  kernel.linearBackwardInput(rec, { dy: tensors.dy, weight: tensors.weight, dx: dx.tensor, accumulate: false });
  kernel.linearBackwardWeight(rec, { x: tensors.x, dy: tensors.dy, dweight: dweight.tensor, storage: "bf16" });
  const got = await gpu.readAllF32([y.tensor, dx.tensor, dweight.tensor]);
  for (const { expectUntouched } of [y, dx, dweight]) await expectUntouched();
  gpu.release(...Object.values(tensors), y.tensor, dx.tensor, dweight.tensor);

  const wanted = (v: Record<keyof Operands, Float64Array>) => [
    twin.linearForward({ ...v, ...shape }),
    twin.linearBackwardInput({ ...v, ...shape }),
    twin.linearBackwardWeight({ ...v, ...shape }),
  ];
  const want = wanted({ x: f64(x), weight: f64(weight), dy: f64(dy) });
  const magnitude = wanted({ x: f64(x).map(Math.abs), weight: f64(weight).map(Math.abs), dy: f64(dy).map(Math.abs) });
  const product = (i: number) => ({ got: got[i]!, want: want[i]!, magnitude: magnitude[i]! });
  return { y: product(0), dx: product(1), dweight: product(2) };
}

function expectWithin({ got, want, magnitude }: Product, bound: number): void {
  const relative = (values: Float32Array | Float64Array) => Float64Array.from(magnitude, (m, i) => values[i]! / m);
  expectClose(relative(got), relative(want), { rtol: 0, atol: bound });
}

const ONE = 2 ** -11; // f16 has 11 bits: the largest error of a rounded operand
const SUM = 1e-6; // of a sum in f32

describe.skipIf(!hasMatrices)("operands in f16 [skipped where the adapter has no subgroup matrices]", () => {
  // Results for the smallest tile, those between and the largest; rows of whole octets and others.
  test.each([
    [3, 300, 40],
    [17, 264, 262],
    [70, 530, 520],
    [530, 72, 524],
    [523, 520, 70],
    [520, 66, 8],
  ] as const)("operands of eight bits are not rounded: %i x %i -> %i", async (...shape) => {
    const [rows, inputs, outputs] = shape;
    const exact = (seed: number, n: number) => stored(randn(seed, n), "bf16");
    const { y, dx, dweight } = await products("matrices", shape, {
      x: exact(1, rows * inputs),
      weight: exact(2, outputs * inputs),
      dy: exact(3, rows * outputs),
    });
    for (const product of [y, dx, dweight]) expectWithin(product, SUM);
  });

  test.each([
    { name: "activations with outliers of a million", scale: 1, outlier: 1e6 },
    { name: "activations with outliers of 1e30", scale: 1, outlier: 1e30 },
    { name: "gradients of 1e-9", scale: 1e-9, outlier: 1 },
    { name: "gradients of 1e-9 with outliers of a million times that", scale: 1e-9, outlier: 1e6 },
    { name: "gradients of 1e-28", scale: 1e-28, outlier: 1 },
  ])("$name keep f16's 11 bits", async ({ scale, outlier }) => {
    const shape = [37, 70, 66] as const;
    const [rows, inputs, outputs] = shape;
    const numbers = (seed: number, n: number) => randn(seed, n).map((v, i) => v * scale * (i % 97 === 5 ? outlier : 1));
    const { y, dx, dweight } = await products("matrices", shape, {
      x: numbers(1, rows * inputs),
      weight: randn(2, outputs * inputs),
      dy: numbers(3, rows * outputs).map((v) => (outlier > 1e9 ? v / outlier : v)),
    });
    expectWithin(y, ONE + SUM);
    expectWithin(dx, ONE + SUM);
    // There, terms of one sum are up to outlier^2 apart, which costs the smaller ones two bits or, in the end, everything;
    // products of 1e-28 and 1e-28 are no f32.
    if (scale < 1e-20) expect(dweight.got.every((v) => v === 0)).toBe(true);
    else if (outlier < 1e9) expectWithin(dweight, (outlier > 1 ? 8 : 2) * ONE + SUM);
    else expect(dweight.got.every((v) => Number.isFinite(v))).toBe(true);
  });

  test("rows of very different scale share a sum over rows", async () => {
    const shape = [64, 34, 42] as const;
    const [rows, inputs, outputs] = shape;
    const rowScale = (i: number, columns: number) => 10 ** (((Math.floor(i / columns) * 7) % 13) - 6);
    const { dweight } = await products("matrices", shape, {
      x: randn(1, rows * inputs).map((v, i) => v * rowScale(i, inputs)),
      weight: randn(2, outputs * inputs),
      dy: randn(3, rows * outputs).map((v, i) => v / Math.sqrt(rowScale(i, outputs))),
    });
    expectWithin(dweight, 2 * ONE + SUM);
  });
});

describe.skipIf(!hasMatrices)("linear on subgroup matrices [skipped where the adapter has none]", () => {
  test("weights are exact from 2^-21 to 4094, cut off above, and lose bits below", async () => {
    const shape = [2, 64, 16] as const;
    const [rows, inputs, outputs] = shape;
    const x = stored(randn(1, rows * inputs), "bf16");
    const run = (scale: number) =>
      products("matrices", shape, { x, weight: randn(2, outputs * inputs, scale), dy: randn(3, rows * outputs) });
    expectWithin((await run(1000)).y, SUM);
    for (const scale of [2 ** -16, 2 ** -24]) {
      const { y } = await run(scale);
      const sums = [0, 1].map((t) => x.subarray(t * inputs, (t + 1) * inputs).reduce((sum, v) => sum + Math.abs(v), 0));
      const error = y.got.map((v, i) => Math.abs(v - y.want[i]!) - SUM * y.magnitude[i]!);
      error.forEach((e, i) => expect(e).toBeLessThan(2 ** -29 * sums[Math.floor(i / outputs)]!));
    }
    const { y, dx } = await run(1e9);
    expect([...y.got, ...dx.got].every((v) => Number.isFinite(v) && Math.abs(v) < 1e6)).toBe(true);
  });

  test("what is not finite stays so, in its row alone", async () => {
    const shape = [20, 40, 24] as const;
    const [rows, inputs, outputs] = shape;
    const x = randn(1, rows * inputs);
    x[3 * inputs + 11] = NaN;
    x[7 * inputs + 5] = Infinity;
    const gpu = await testGpu("matrices");
    const run = async (count: number) => {
      const y = gpu.empty([count, outputs], "f32");
      kernel.linearForward(gpu.recorder(), {
        x: gpu.upload(x.subarray(0, count * inputs), [count, inputs], "f32"),
        weight: gpu.upload(randn(2, outputs * inputs), [outputs, inputs], "bf16"),
        y,
      });
      return gpu.readF32(y);
    };
    const values = await run(rows);
    for (let t = 0; t < rows; t++) {
      const row = values.subarray(t * outputs, (t + 1) * outputs);
      expect(row.every((v) => Number.isFinite(v) === (t !== 3 && t !== 7))).toBe(true);
    }
  });

  test("a row has the same bits in a batch of any size", async () => {
    const gpu = await testGpu("matrices");
    const rec = gpu.recorder();
    const [rows, inputs, outputs] = [528, 520, 524];
    const outliers = (seed: number, n: number) => randn(seed, n).map((v, i) => (i % 50 === 7 ? 1000 * v : v));
    const x = outliers(1, rows * inputs);
    const dy = outliers(2, rows * outputs);
    const weight = gpu.upload(randn(3, outputs * inputs), [outputs, inputs], "bf16");
    const upWeight = gpu.upload(randn(4, outputs * inputs), [outputs, inputs], "bf16");
    const run = async (first: number, count: number) => {
      const part = (values: Float32Array, width: number) =>
        gpu.upload(values.subarray(first * width, (first + count) * width), [count, width], "f32");
      const [xs, dys] = [part(x, inputs), part(dy, outputs)];
      const [y, logits, product] = Array.from({ length: 3 }, () => gpu.empty([count, outputs], "f32"));
      const [gate, up] = Array.from({ length: 2 }, () => gpu.empty([count, outputs], "bf16"));
      const dx = gpu.empty([count, inputs], "f32");
      kernel.linearForward(rec, { x: xs, weight, y: y! });
      kernel.linearSwiglu(rec, { x: xs, gateWeight: weight, upWeight, gate: gate!, up: up!, y: product! });
      kernel.linearLogits(rec, { x: xs, weight, row0: 0, rows: outputs, logits: logits! });
      kernel.linearBackwardInput(rec, { dy: dys, weight, dx, accumulate: false });
      const results = [y!, logits!, gate!, up!, product!, dx];
      const values = await gpu.readAllF32(results);
      gpu.release(xs, dys, ...results);
      return values;
    };
    const whole = await run(0, rows);
    expect(whole[1]).toEqual(whole[0]);
    expect(whole[2]).toEqual(stored(whole[0]!, "bf16"));
    for (const [first, count] of [
      [0, 1],
      [7, 3],
      [100, 17],
      [40, 130],
      [527, 1],
    ] as const) {
      const values = await run(first, count);
      values.forEach((part, i) => {
        const width = part.length / count;
        expect(part).toEqual(whole[i]!.subarray(first * width, (first + count) * width));
      });
    }
  });

  test("a result has the same bits in every tile", async () => {
    const gpu = await testGpu("matrices");
    const rec = gpu.recorder();
    const [rows, inputs, outputs] = [83, 74, 90];
    const outliers = (seed: number, n: number) => randn(seed, n).map((v, i) => (i % 50 === 7 ? 1000 * v : v));
    const x = gpu.upload(outliers(1, rows * inputs), [rows, inputs], "f32");
    const dy = gpu.upload(outliers(2, rows * outputs), [rows, outputs], "f32");
    const weight = gpu.upload(randn(3, outputs * inputs), [outputs, inputs], "bf16");
    const upWeight = gpu.upload(randn(4, outputs * inputs), [outputs, inputs], "bf16");
    const run = async (tile: number) => {
      const swiglu = tuningShape("linear_swiglu", rows, 2 * outputs);
      const forward = ["linear_forward", "linear_logits"].map((name) => tuningShape(name, rows, outputs));
      const dxShape = tuningShape("linear_backward_input", rows, inputs);
      const dweightShape = tuningShape("linear_backward_weight", outputs, inputs);
      gpu.tuning = new Map([swiglu, ...forward, dxShape, dweightShape].map((shape) => [shape, tile]));
      const [y, logits, product] = Array.from({ length: 3 }, () => gpu.empty([rows, outputs], "f32"));
      const [gate, up] = Array.from({ length: 2 }, () => gpu.empty([rows, outputs], "bf16"));
      const dx = gpu.empty([rows, inputs], "f32");
      const dweight = gpu.zeros([outputs, inputs], "f32");
      kernel.linearForward(rec, { x, weight, y: y! });
      kernel.linearSwiglu(rec, { x, gateWeight: weight, upWeight, gate: gate!, up: up!, y: product! });
      kernel.linearLogits(rec, { x, weight, row0: 0, rows: outputs, logits: logits! });
      kernel.linearBackwardInput(rec, { dy, weight, dx, accumulate: false });
      kernel.linearBackwardWeight(rec, { x, dy, dweight, storage: "bf16" });
      gpu.tuning = null;
      const results = [y!, logits!, gate!, up!, product!, dx, dweight];
      const values = await gpu.readAllF32(results);
      gpu.release(...results);
      return values;
    };
    const tiles = tilesOf(gpu, gpu.matrices!);
    expect(tiles.length).toBeGreaterThan(1);
    const first = await run(0);
    for (let tile = 1; tile < tiles.length; tile++) expect(await run(tile)).toEqual(first);
    gpu.release(x, dy, weight, upWeight);
  });

  test("the gated activation and its gradients as octets are those in f32, to products", async () => {
    const gpu = await testGpu("matrices");
    const rec = gpu.recorder();
    const [rows, inputs, outputs] = [19, 40, 90];
    const [gate, up] = [1, 2].map((seed) => gpu.upload(randn(seed, rows * outputs, 3), [rows, outputs], "bf16"));
    // Rows of 1e-9 and an outlier, whose exponents differ from their neighbours'.
    const numbers = randn(3, rows * outputs).map((v, i) => (i % 97 === 5 ? 1e6 * v : i < 3 * outputs ? 1e-9 * v : v));
    const dy = gpu.upload(numbers, [rows, outputs], "f32");
    const weight = gpu.upload(randn(4, outputs * inputs), [outputs, inputs], "bf16");
    const x = gpu.upload(randn(5, rows * inputs), [rows, inputs], "f32");
    const [dgate, dup] = [gpu.empty([rows, outputs], "f32"), gpu.empty([rows, outputs], "f32")];
    swigluBackward(rec, { gate: gate!, up: up!, dy, dgate, dup });
    const y = gpu.empty([rows, outputs], "f32");
    swigluForward(rec, { gate: gate!, up: up!, y });
    const packed = swigluBackwardRows(rec, { gate: gate!, up: up!, dy });
    const products = (dy: Tensor | kernel.SharedRows) => {
      const [dx, dweight] = [gpu.empty([rows, inputs], "f32"), gpu.zeros([outputs, inputs], "f32")];
      kernel.linearBackwardInput(rec, { dy, weight, dx, accumulate: false });
      kernel.linearBackwardWeight(rec, { x, dy, dweight, storage: "bf16" });
      return [dx, dweight];
    };
    const want = await gpu.readAllF32([dgate, dup, y].flatMap(products));
    expect(want.every((values) => values.some((v) => v !== 0))).toBe(true);
    expect(await gpu.readAllF32([packed.dgate, packed.dup, packed.y!].flatMap(products))).toEqual(want);
  });

  test("a norm's rows as octets are those in f32, to products of any tile", async () => {
    const gpu = await testGpu("matrices");
    const rec = gpu.recorder();
    const [rows, inputs, outputs, eps] = [131, 70, 90, 1e-6];
    // A row of zeros among others, and outliers.
    const numbers = randn(1, rows * inputs).map((v, i) => (i % 97 === 5 ? 1e6 * v : i < inputs ? 0 : v));
    const x = gpu.upload(numbers, [rows, inputs], "f32");
    const scales = gpu.upload(randn(2, inputs), [inputs], "bf16");
    const weight = gpu.upload(randn(3, outputs * inputs), [outputs, inputs], "bf16");
    const dy = gpu.upload(randn(4, rows * outputs), [rows, outputs], "f32");
    const [y, rstd, packedRstd] = [
      gpu.empty([rows, inputs], "f32"),
      gpu.empty([rows], "f32"),
      gpu.empty([rows], "f32"),
    ];
    rmsnormForward(rec, { x, weight: scales, y, rstd, eps });
    const packed = rmsnormRows(rec, { x, weight: scales, rstd: packedRstd, eps });
    expect(packed.hasSource).toBe(false);
    const products = (rows_: Tensor | kernel.SharedRows) => {
      const [out, dweight] = [gpu.empty([rows, outputs], "f32"), gpu.zeros([outputs, inputs], "f32")];
      kernel.linearForward(rec, { x: rows_, weight, y: out });
      kernel.linearBackwardWeight(rec, { x: rows_, dy, dweight, storage: "bf16" });
      return [out, dweight];
    };
    const want = await gpu.readAllF32([...products(y), rstd]);
    expect(want.every((values) => values.some((v) => v !== 0))).toBe(true);
    expect(await gpu.readAllF32([...products(packed), packedRstd])).toEqual(want);
  });

  test("a layer in f32 has the bits of the tier with subgroups", async () => {
    const [rows, inputs, outputs] = [9, 34, 26];
    const run = async (tier: Tier) => {
      const gpu: Gpu = await testGpu(tier);
      const rec = gpu.recorder();
      const x = gpu.upload(randn(1, rows * inputs), [rows, inputs], "f32");
      const dy = gpu.upload(randn(2, rows * outputs), [rows, outputs], "f32");
      const weight = gpu.upload(randn(3, outputs * inputs), [outputs, inputs], "f32");
      const y = gpu.empty([rows, outputs], "f32");
      const dx = gpu.empty([rows, inputs], "f32");
      const dweight = gpu.zeros([outputs, inputs], "f32");
      kernel.linearForward(rec, { x, weight, y });
      kernel.linearBackwardInput(rec, { dy, weight, dx, accumulate: false });
      kernel.linearBackwardWeight(rec, { x, dy, dweight, storage: "f32" });
      return gpu.readAllF32([y, dx, dweight]);
    };
    expect(await run("matrices")).toEqual(await run("subgroups"));
  });
});

describe("a tile", () => {
  const [rows, inputs, outputs] = [1024, 64, 1024];

  /** Workgroups of the product among the dispatches of a layer. */
  function workgroups(gpu: Gpu, tuning: Gpu["tuning"]): Record<string, readonly number[]> {
    gpu.tuning = tuning;
    const rec = gpu.recorder();
    const dispatch = vi.spyOn(rec, "dispatch");
    const weight = gpu.empty([outputs, inputs], "bf16");
    const [x, dx] = [gpu.empty([rows, inputs], "f32"), gpu.empty([rows, inputs], "f32")];
    const [y, dy] = [gpu.empty([rows, outputs], "f32"), gpu.empty([rows, outputs], "f32")];
    const dweight = gpu.empty([outputs, inputs], "f32");
    kernel.linearForward(rec, { x, weight, y });
    kernel.linearBackwardInput(rec, { dy, weight, dx, accumulate: false });
    kernel.linearBackwardWeight(rec, { x, dy, dweight, storage: "bf16" });
    const products = dispatch.mock.calls.filter(([{ name }]) => name === "linear-matrix");
    dispatch.mockRestore();
    return Object.fromEntries(products.map(([, entryPoint, options]) => [entryPoint, options.workgroups]));
  }

  test("is the rule's before any was measured, and for what was not", () => {
    const rule = {
      linear_forward: [8, 8],
      linear_backward_input: [4, 64],
      linear_backward_weight: [4, 64],
    };
    expect(workgroups(plannedMatrices(), null)).toEqual(rule);
    expect(workgroups(plannedMatrices(), new Map([[tuningShape("linear_forward", 2 * rows, outputs), 1]]))).toEqual(
      rule,
    );
  });

  test("is the measured one, for its entry point and shape alone", () => {
    const tuning = new Map([
      [tuningShape("linear_forward", rows, outputs), 1],
      [tuningShape("linear_backward_weight", outputs, inputs), 0],
    ]);
    expect(workgroups(plannedMatrices(), tuning)).toEqual({
      linear_forward: [16, 16],
      linear_backward_input: [4, 64],
      linear_backward_weight: [1, 8],
    });
  });
});
