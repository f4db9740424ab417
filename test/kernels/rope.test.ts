import { expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import { ropeBackward, ropeForward } from "../../src/kernels/rope.ts";
import { parseModelConfig, ropeTable } from "../../src/model/config.ts";
import * as twin from "../../src/reference/rope.ts";
import { expectClose, f64, guarded, randn, testGpu } from "../helpers/gpu.ts";
import { tinyConfig } from "../helpers/models.ts";

const MAX_POSITIONS = 300;

const tableFor = (headDim: number) => ropeTable({ ...tinyConfig(), headDim }, MAX_POSITIONS);

// Half the head size is odd, two, a multiple of two, and more invocations than a workgroup.
const SHAPES = [
  { tokens: 1, heads: 1, headDim: 2 },
  { tokens: 5, heads: 3, headDim: 6 },
  { tokens: 7, heads: 2, headDim: 4 },
  { tokens: 9, heads: 5, headDim: 24 },
  { tokens: 3, heads: 1, headDim: 128 },
];

test.each(SHAPES)("$tokens x $heads x $headDim", async ({ tokens, heads, headDim }) => {
  const gpu = await testGpu();
  const rec = gpu.recorder();
  const shape = [tokens, heads, headDim];
  const rowSize = heads * headDim;
  // Every third token is ten thousand times larger; the results are compared after dividing by that again.
  const factor = (i: number) => (Math.floor(i / rowSize) % 3 === 2 ? 1e4 : 1);
  const x = randn(1, tokens * rowSize).map((v, i) => v * factor(i));
  const dy = randn(2, tokens * rowSize);
  const positions = Uint32Array.from({ length: tokens }, (_, t) =>
    t === 0 ? MAX_POSITIONS - 1 : (t * 37) % MAX_POSITIONS,
  );
  const table = tableFor(headDim);
  const rope = { positions, table: f64(table), heads, headDim };
  const want = twin.ropeForward({ x: f64(x), ...rope });
  const wantGrad = twin.ropeBackward({ dx: f64(dy), ...rope });
  const k = randn(3, tokens * headDim);
  const wantK = twin.ropeForward({ x: f64(k), ...rope, heads: 1 });

  const inputs = {
    positions: gpu.upload(positions, [tokens], "u32"),
    table: gpu.upload(table, [MAX_POSITIONS, headDim], "f32"),
  };
  const y = guarded(gpu, shape, "f32");
  gpu.write(y.tensor, x);
  const keys = guarded(gpu, [tokens, 1, headDim], "f32");
  gpu.write(keys.tensor, k);
  ropeForward(rec, { q: y.tensor, k: keys.tensor, ...inputs });
  expectClose(
    (await gpu.readF32(y.tensor)).map((v, i) => v / factor(i)),
    want.map((v, i) => v / factor(i)),
    { rtol: 1e-6, atol: 1e-6 },
  );
  await y.expectUntouched();
  expectClose(await gpu.readF32(keys.tensor), wantK, { rtol: 1e-6, atol: 1e-6 });
  await keys.expectUntouched();

  const dx = guarded(gpu, shape, "f32");
  gpu.write(dx.tensor, dy);
  ropeBackward(rec, { dq: dx.tensor, dk: keys.tensor, ...inputs });
  expectClose(await gpu.readF32(dx.tensor), wantGrad, { rtol: 1e-6, atol: 1e-6 });
  expectClose(await gpu.readF32(keys.tensor), k, { rtol: 1e-6, atol: 1e-6 }); // there and back
  await dx.expectUntouched();
});

test("llama3 scaling keeps short wavelengths and stretches long ones by the factor", () => {
  const json = { ...tinyConfig().raw, head_dim: 16, rope_theta: 500000 };
  const llama3 = {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 64,
  };
  const [plain, scaled] = [json, { ...json, rope_scaling: llama3 }].map((config) =>
    ropeTable(parseModelConfig(config, "test"), 2),
  );
  expect(scaled![16]).toBe(plain![16]); // wavelength 2 pi: more than 4 turns in 64 positions
  expect(Math.asin(scaled![31]!)).toBeCloseTo(Math.asin(plain![31]!) / 8, 10); // less than one turn
});

test("shapes that do not fit are named", async () => {
  const gpu = await testGpu();
  const [x, positions] = [gpu.zeros([3, 2, 4], "f32"), gpu.zeros([3], "u32")];
  expect(() => ropeForward(gpu.recorder(), { q: x, k: x, positions, table: gpu.zeros([5, 6], "f32") })).toThrow(
    /rope_forward.*table \[5,6\]/,
  );
  expect(() =>
    ropeForward(gpu.recorder(), { q: x, k: x, positions: gpu.zeros([2], "u32"), table: gpu.zeros([5, 4], "f32") }),
  ).toThrow(ShapeError);
});
