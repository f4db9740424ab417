import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import { softmaxForward } from "../../src/kernels/softmax.ts";
import * as twin from "../../src/reference/softmax.ts";
import { expectClose, f64, guarded, randn, testGpu, tiersHere } from "../helpers/gpu.ts";

// Fewer fours than lanes, about as many, more; rows that do not fill a subgroup.
const SHAPES = [
  { rows: 1, columns: 4 },
  { rows: 5, columns: 36 },
  { rows: 3, columns: 256 },
  { rows: 67, columns: 1028 },
];

describe.each(await tiersHere())("softmax, %s", (tier) => {
  test.each(SHAPES)("$rows x $columns", async ({ rows, columns }) => {
    const gpu = await testGpu(tier);
    // Rows far from 0 on either side, where exp alone would overflow or vanish.
    const x = randn(1, rows * columns, 4).map((v, i) => v + [0, 300, -300][Math.floor(i / columns) % 3]!);
    const y = guarded(gpu, [rows, columns], "f32");
    softmaxForward(gpu.recorder(), { x: gpu.upload(x, [rows, columns], "f32"), y: y.tensor });
    const want = twin.softmaxForward({ x: f64(x), columns });
    expectClose(await gpu.readF32(y.tensor), want, { rtol: 1e-6, atol: 1e-9 });
    await y.expectUntouched();
  });

  test("shapes that do not fit are named", async () => {
    const gpu = await testGpu(tier);
    const x = gpu.zeros([2, 6], "f32");
    expect(() => softmaxForward(gpu.recorder(), { x, y: x })).toThrow(ShapeError);
  });
});
