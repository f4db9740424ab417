import { describe, expect, test } from "vitest";
import {
  DeviceLostError,
  GpuUnavailableError,
  KernelCompileError,
  OutOfMemoryError,
  ShapeError,
} from "../../src/errors.ts";
import { defineKernel } from "../../src/gpu/kernel.ts";
import { sizeClass } from "../../src/gpu/pool.ts";
import { openGpu } from "../../src/runtime/node.ts";
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

  test("size classes waste at most a quarter", () => {
    for (const bytes of [1, 256, 257, 1024, 1025, 5000, 123456, 2 ** 20, 2 ** 20 + 1]) {
      expect(sizeClass(bytes)).toBeGreaterThanOrEqual(bytes);
      expect(sizeClass(bytes)).toBeLessThanOrEqual(Math.max(256 * Math.ceil(bytes / 256), bytes * 1.25));
      expect(sizeClass(bytes) % 4).toBe(0);
    }
  });
});
