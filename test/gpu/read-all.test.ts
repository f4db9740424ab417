import { expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import { randn, stored, testGpu } from "../helpers/gpu.ts";

test("reads tensors of both float dtypes, odd and empty ones too, with one mapped buffer", async () => {
  const gpu = await testGpu();
  const contents = [5, 0, 3, 8].map((n, i) => randn(i, n));
  const dtypes = ["f32", "f32", "bf16", "bf16"] as const;
  const tensors = contents.map((values, i) => gpu.upload(values, [values.length], dtypes[i]!));
  expect(await gpu.readAllF32(tensors)).toEqual(contents.map((values, i) => stored(values, dtypes[i]!)));
  expect(await gpu.readAllF32([])).toEqual([]);
  await expect(gpu.readAllF32([gpu.zeros([1], "u32")])).rejects.toThrow(ShapeError);
});
