import { describe, expect, test } from "vitest";
import {
  DeviceLostError,
  GpuUnavailableError,
  KernelCompileError,
  OutOfMemoryError,
  ShapeError,
} from "../../src/errors.ts";
import { defineKernel } from "../../src/gpu/kernel.ts";
import { MAX_IDLE_BYTES, Pool, sizeClass } from "../../src/gpu/pool.ts";
import { openGpu } from "../../src/runtime/open-gpu.ts";
import { stored, STORAGES, randn, testGpu } from "../helpers/gpu.ts";

const scale = defineKernel({
  name: "scale",
  source: `
struct Params { pairs: u32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<pair>;
@group(0) @binding(2) var<storage, read_write> y: array<pair>;
@compute @workgroup_size(64) fn scale_forward(@builtin(global_invocation_id) gid: vec3<u32>) {
  if (gid.x < params.pairs) { y[gid.x] = pack(unpack(x[gid.x]) * params.factor); }
}`,
});

describe("Gpu", () => {
  test.each(STORAGES)("runs a kernel over %s storage", async (storage) => {
    const gpu = await testGpu();
    const data = randn(1, 101);
    const x = gpu.upload(data, [101], storage);
    const y = gpu.zeros([101], storage);
    gpu
      .recorder()
      .dispatch(scale, "scale_forward", { params: { pairs: 51, factor: 3 }, buffers: { x, y }, workgroups: [1] });
    const rounded = stored(data, storage);
    const want = stored(
      rounded.map((v) => Math.fround(v * 3)),
      storage,
    );
    expect(await gpu.readF32(y)).toEqual(want);
  });

  test("keeps NaN, infinity and the sign of zero in bf16", async () => {
    const gpu = await testGpu();
    const data = new Float32Array([NaN, Infinity, -Infinity, -0, 3.4e38, 1e-40]);
    const x = gpu.upload(data, [6], "bf16");
    const y = gpu.zeros([6], "bf16");
    gpu
      .recorder()
      .dispatch(scale, "scale_forward", { params: { pairs: 3, factor: 1 }, buffers: { x, y }, workgroups: [1] });
    const got = await gpu.readF32(y);
    expect(got[0]).toBeNaN();
    expect(Array.from(got.subarray(1, 5))).toEqual([Infinity, -Infinity, -0, Infinity]);
  });

  test("a released buffer is not overwritten before the work recorded with it has run", async () => {
    const gpu = await testGpu();
    const x = gpu.upload(new Float32Array(64).fill(1), [64], "f32");
    const y = gpu.zeros([64], "f32");
    gpu
      .recorder()
      .dispatch(scale, "scale_forward", { params: { pairs: 32, factor: 2 }, buffers: { x, y }, workgroups: [1] });
    gpu.release(x);
    gpu.upload(new Float32Array(64).fill(100), [64], "f32");
    expect((await gpu.readF32(y))[0]).toBe(2);
  });

  test("more dispatches than one parameter buffer holds", async () => {
    const gpu = await testGpu();
    let a = gpu.upload(new Float32Array([1, 1]), [2], "f32");
    let b = gpu.zeros([2], "f32");
    for (let i = 0; i < 1500; i++) {
      gpu.recorder().dispatch(scale, "scale_forward", {
        params: { pairs: 1, factor: i % 2 ? 0.5 : 2 },
        buffers: { x: a, y: b },
        workgroups: [1],
      });
      [a, b] = [b, a];
    }
    expect(Array.from(await gpu.readF32(a))).toEqual([1, 1]);
  });

  test("parameters that are left out are 0, not what the slot held before", async () => {
    const gpu = await testGpu();
    const rec = gpu.recorder();
    const x = gpu.upload(new Float32Array([1, 1]), [2], "f32");
    const y = gpu.zeros([2], "f32");
    rec.dispatch(scale, "scale_forward", { params: { pairs: 1, factor: 7 }, buffers: { x, y }, workgroups: [1] });
    rec.submit();
    rec.dispatch(scale, "scale_forward", { params: { pairs: 1 }, buffers: { x, y }, workgroups: [1] });
    expect(Array.from(await gpu.readF32(y))).toEqual([0, 0]);
  });

  test("names what is wrong with a dispatch", async () => {
    const gpu = await testGpu();
    const rec = gpu.recorder();
    const x = gpu.zeros([4], "f32");
    const y = gpu.zeros([4], "bf16");
    expect(() => rec.dispatch(scale, "scale_forward", { buffers: { x, y }, workgroups: [1] })).toThrow(ShapeError);
    expect(() => rec.dispatch(scale, "scale_forward", { buffers: { x }, workgroups: [1] })).toThrow(
      /expected a tensor for y/,
    );
    expect(() => gpu.upload(new Float32Array(3), [4], "f32")).toThrow(ShapeError);
  });

  test("a kernel that does not compile is reported with its own line", async () => {
    const gpu = await openGpu();
    const broken = defineKernel({
      name: "broken",
      source: "@compute @workgroup_size(1)\nfn f() {\n  let a: u32 = 1.5;\n}",
    });
    expect(() => gpu.recorder().dispatch(broken, "f", { buffers: {}, workgroups: [1] })).not.toThrow();
    await expect(gpu.idle()).rejects.toThrow(KernelCompileError);
    gpu.recorder().dispatch(broken, "f", { buffers: {}, workgroups: [1] });
    await gpu.idle().catch(() => {});
    const again = await openGpu();
    again.recorder().dispatch(broken, "f", { buffers: {}, workgroups: [1] });
    await expect(again.idle()).rejects.toThrow(/shaders\/broken\.wgsl:3:/);
    gpu.dispose();
    again.dispose();
  });

  test("too large a buffer is an OutOfMemoryError", async () => {
    const gpu = await testGpu();
    expect(() => gpu.empty([2 ** 40], "f32")).toThrow(OutOfMemoryError);
  });

  test("a lost device is a DeviceLostError", async () => {
    const gpu = await openGpu();
    const x = gpu.zeros([4], "f32");
    gpu.device.destroy();
    await expect(gpu.readF32(x)).rejects.toThrow(DeviceLostError);
  });

  test("an unknown adapter is a GpuUnavailableError", async () => {
    await expect(openGpu("no such adapter")).rejects.toThrow(GpuUnavailableError);
  });

  test("size classes waste at most a quarter, of large buffers a sixteenth", () => {
    for (const bytes of [2 ** 24 + 1, 2 ** 27 - 5, 466_747_392, 933_494_784]) {
      expect(sizeClass(bytes)).toBeGreaterThanOrEqual(bytes);
      expect(sizeClass(bytes)).toBeLessThanOrEqual(bytes * (1 + 1 / 16));
    }
    for (const bytes of [1, 256, 257, 1024, 1025, 5000, 123456, 2 ** 20, 2 ** 20 + 1]) {
      expect(sizeClass(bytes)).toBeGreaterThanOrEqual(bytes);
      expect(sizeClass(bytes)).toBeLessThanOrEqual(Math.max(256 * Math.ceil(bytes / 256), bytes * 1.25));
      expect(sizeClass(bytes) % 4).toBe(0);
    }
  });
});

test("idle buffers given back leave work that was sent, and work on new ones, as it is", async () => {
  const gpu = await testGpu();
  const triple = (data: Float32Array) => {
    const [x, y] = [gpu.upload(data, [data.length], "f32"), gpu.zeros([data.length], "f32")];
    const params = { pairs: data.length / 2, factor: 3 };
    gpu.recorder().dispatch(scale, "scale_forward", { params, buffers: { x, y }, workgroups: [1] });
    gpu.release(x);
    return y;
  };
  const data = [randn(8, 64), randn(9, 64)] as const;
  const first = triple(data[0]);
  gpu.recorder().submit();
  const before = gpu.pool.allocatedBytes;
  gpu.pool.trim();
  expect(gpu.pool.allocatedBytes).toBeLessThan(before);
  expect(gpu.pool.allocatedBytes).toBe(gpu.pool.usedBytes);
  const second = triple(data[1]);
  for (const [i, y] of [first, second].entries()) {
    expect(await gpu.readF32(y)).toEqual(data[i]!.map((v) => Math.fround(v * 3)));
  }
  gpu.release(first, second);
});

describe("Pool", () => {
  const limits = { maxBufferSize: 2 ** 40 };
  const me = {};
  const buffer = { destroy() {} } as GPUBuffer;

  test("counts what is in use, its peak, and what exists", () => {
    const pool = new Pool(limits, () => ({ buffer, verdict: null }));
    const [a, b] = [pool.acquire(me, 1024), pool.acquire(me, 2048)];
    pool.release(me, a);
    pool.release(me, b);
    const again = pool.acquire(me, 1000);
    expect(again).toBe(a);
    expect([pool.usedBytes, pool.peakBytes, pool.allocatedBytes]).toEqual([1024, 3072, 3072]);
  });

  test("shorter micro-batches use the buffers of a longer one, unless that would waste more than half", () => {
    const pool = new Pool(limits, () => ({ buffer, verdict: null }));
    const microBatch = (rows: number) => {
      const tensors = [1, 4, 2, 1].map((width) => pool.acquire(me, rows * width * 1e6));
      for (const tensor of tensors) pool.release(me, tensor);
    };
    microBatch(100);
    const before = pool.allocatedBytes;
    for (const rows of [90, 75, 60, 99]) microBatch(rows);
    expect(pool.allocatedBytes).toBe(before);
    microBatch(10);
    expect(pool.allocatedBytes).toBeGreaterThan(before);
    expect(pool.usedBytes).toBe(0);
    pool.trim();
    expect(pool.allocatedBytes).toBe(0);
  });

  test("what buffers waste on smaller tensors is no reason to trim where nothing is idle, and is bounded", () => {
    const pool = new Pool(limits, () => ({ buffer, verdict: null }));
    const large = Array.from({ length: 8 }, () => pool.acquire(me, 2 ** 30));
    for (const allocation of large) pool.release(me, allocation);
    expect(pool.idleBytes).toBe(8 * 2 ** 30);
    const small = large.map(() => pool.acquire(me, 2 ** 29));
    expect(pool.usedBytes).toBe(8 * 2 ** 29);
    // Four are halves of the large ones, which waste no more than the bound; the rest is new.
    expect(small.filter(({ capacity }) => capacity === 2 ** 30)).toHaveLength(4);
    expect(pool.hoards(me, 2 ** 20)).toBe(true);
    pool.trim();
    expect(pool.idleBytes).toBe(0);
    expect(pool.allocatedBytes).toBe(pool.usedBytes + MAX_IDLE_BYTES);
    expect(pool.hoards(me, 2 ** 20)).toBe(false);
  });

  test("whatever the sizes, no more than the bound lies idle beside the most that was in use", () => {
    let exists = 0;
    const pool = new Pool(limits, (size) => {
      exists += size;
      return { buffer: { destroy: () => (exists -= size) } as unknown as GPUBuffer, verdict: null };
    });
    for (let step = 0; step < 200; step++) {
      const bytes = 1e8 + ((step * 7919) % 97) * 1e7;
      // As Gpu.empty does it.
      if (pool.hoards(me, bytes)) pool.trim();
      pool.release(me, pool.acquire(me, bytes));
      expect(exists).toBe(pool.allocatedBytes);
      expect(exists).toBeLessThanOrEqual(pool.peakBytes + MAX_IDLE_BYTES);
    }
    expect(pool.usedBytes).toBe(0);
    pool.trim();
    expect(exists).toBe(0);
  });
});
