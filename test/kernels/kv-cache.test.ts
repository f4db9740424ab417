import { expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import { kvCacheWrite, kvPack } from "../../src/kernels/kv-cache.ts";
import * as twin from "../../src/reference/kv-cache.ts";
import { f64, guarded, randn, stored, STORAGES, testGpu } from "../helpers/gpu.ts";

const paging = {
  positions: Uint32Array.from([7, 0, 4, 5, 8]),
  slots: Uint32Array.from([1, 0, 0, 1, 1]),
  tables: Uint32Array.from([3, 0, 9, 6, 2, 4]),
  maxBlocks: 3,
  blockSize: 3,
};

test.each(STORAGES)("rows go to their places and nowhere else, in %s", async (storage) => {
  const gpu = await testGpu();
  const [rows, kvHeads, headDim, numBlocks] = [5, 3, 10, 10];
  const rowSize = kvHeads * headDim;
  const cacheShape = [numBlocks * paging.blockSize, kvHeads, headDim];
  const [k, v] = [randn(1, rows * rowSize), randn(2, rows * rowSize)];
  const before = stored(randn(3, cacheShape[0]! * rowSize), storage);
  const [kCache, vCache] = [guarded(gpu, cacheShape, storage), guarded(gpu, cacheShape, storage)];
  gpu.write(kCache.tensor, before);
  gpu.write(vCache.tensor, before);
  kvCacheWrite(gpu.recorder(), {
    k: gpu.upload(k, [rows, kvHeads, headDim], "f32"),
    v: gpu.upload(v, [rows, kvHeads, headDim], "f32"),
    positions: gpu.upload(paging.positions, [rows], "u32"),
    slots: gpu.upload(paging.slots, [rows], "u32"),
    tables: gpu.upload(paging.tables, [2, paging.maxBlocks], "u32"),
    kCache: kCache.tensor,
    vCache: vCache.tensor,
    blockSize: paging.blockSize,
  });
  for (const [values, cache] of [
    [k, kCache],
    [v, vCache],
  ] as const) {
    const want = f64(before);
    twin.kvCacheWrite({ rows: f64(stored(values, storage)), cache: want, rowSize, ...paging });
    expect(f64(await gpu.readF32(cache.tensor))).toEqual(want);
    await cache.expectUntouched();
  }
});

test.each(STORAGES)("packed rows are rounded like the cache's, in %s", async (storage) => {
  const gpu = await testGpu();
  const shape = [7, 3, 10];
  const [k, v] = [randn(1, 210), randn(2, 210)];
  const [kPacked, vPacked] = [guarded(gpu, shape, storage), guarded(gpu, shape, storage)];
  const tensors = { k: gpu.upload(k, shape, "f32"), v: gpu.upload(v, shape, "f32") };
  kvPack(gpu.recorder(), { ...tensors, kPacked: kPacked.tensor, vPacked: vPacked.tensor });
  expect(await gpu.readF32(kPacked.tensor)).toEqual(stored(k, storage));
  expect(await gpu.readF32(vPacked.tensor)).toEqual(stored(v, storage));
  await kPacked.expectUntouched();
  await vPacked.expectUntouched();
  expect(() =>
    kvPack(gpu.recorder(), { ...tensors, kPacked: kPacked.tensor, vPacked: gpu.zeros([7, 30], storage) }),
  ).toThrow(ShapeError);
});

test("shapes that do not fit are named", async () => {
  const gpu = await testGpu();
  const row = gpu.zeros([1, 2, 4], "f32");
  const one = gpu.zeros([1], "u32");
  const call = { k: row, v: row, positions: one, slots: one, tables: gpu.zeros([1, 1], "u32"), blockSize: 4 };
  const [kCache, vCache] = [gpu.zeros([8, 2, 4], "f32"), gpu.zeros([8, 4, 2], "f32")];
  expect(() => kvCacheWrite(gpu.recorder(), { ...call, kCache, vCache })).toThrow(/kv_cache_write.*vCache \[8,4,2\]/);
  expect(() => kvCacheWrite(gpu.recorder(), { ...call, kCache, vCache: kCache, slots: gpu.zeros([2], "u32") })).toThrow(
    ShapeError,
  );
});
