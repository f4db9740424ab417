import { describe, expect, test, vi } from "vitest";
import { defineKernel } from "../../src/gpu/kernel.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { paceOf, testGpu } from "../helpers/gpu.ts";

const scale = defineKernel({
  name: "scale",
  source: `
struct Params { factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn scale_forward() { y[0] = x[0] * params.factor; }`,
});

const gpu = await testGpu();
const rec = gpu.recorder();
const record = (x: Tensor, y: Tensor, factor: number) =>
  rec.dispatch(scale, "scale_forward", { params: { factor }, buffers: { x, y }, workgroups: [1] });
const scalar = (value: number) => gpu.upload(new Float32Array([value]), [1], "f32");

describe("a recording", () => {
  test("does nothing until it is replayed, then the same every time, between other work", async () => {
    const x = scalar(1);
    const y = gpu.zeros([1], "f32");
    const recording = rec.capture(() => {
      const between = gpu.empty([1], "f32");
      record(x, between, 2);
      rec.submit();
      record(between, y, 3);
      gpu.release(between);
    });
    expect(recording.lists.map(({ commands }) => commands.length)).toEqual([1, 1]);
    expect(await gpu.readF32(y)).toEqual(new Float32Array([0]));
    for (const value of [1, 10, 100]) {
      gpu.write(x, new Float32Array([value]));
      const other = scalar(value);
      const result = gpu.empty([1], "f32");
      record(other, result, 7);
      rec.replay(recording);
      expect(await gpu.readF32(y)).toEqual(new Float32Array([6 * value]));
      expect(await gpu.readF32(result)).toEqual(new Float32Array([7 * value]));
    }
    recording.dispose();
  });

  test("holds more commands than the parameter buffer", async () => {
    const [a, b] = [scalar(1), scalar(0)];
    const recording = rec.capture(() => {
      for (let i = 0; i < 1500; i++) record(i % 2 ? b : a, i % 2 ? a : b, i % 2 ? 0.5 : 2);
      record(a, b, 5);
    });
    rec.replay(recording);
    expect(await gpu.readF32(b)).toEqual(new Float32Array([5]));
    recording.dispose();
  });

  test("is the same in submits of one dispatch each, on a device that is slow", async () => {
    const [a, b] = [scalar(1), scalar(0)];
    const recording = rec.capture(() => {
      for (let i = 1; i <= 9; i++) record(i % 2 ? a : b, i % 2 ? b : a, i);
    });
    expect(recording.lists).toHaveLength(1);
    const submit = vi.spyOn(gpu.device.queue, "submit");
    const isEnough = vi.spyOn(paceOf(gpu), "isEnough").mockImplementation((_bytes, dispatches) => dispatches > 0);
    try {
      rec.replay(recording);
      expect(submit).toHaveBeenCalledTimes(9);
      expect(await gpu.readF32(b)).toEqual(new Float32Array([362880]));
    } finally {
      submit.mockRestore();
      isEnough.mockRestore();
      recording.dispose();
    }
  });

  test("keeps its own buffers from everybody else until it is disposed of", async () => {
    const [x, y] = [scalar(3), scalar(0)];
    const used = gpu.pool.usedBytes;
    const recording = rec.capture(() => {
      const between = gpu.empty([1], "f32");
      record(x, between, 2);
      record(between, y, 1);
      gpu.release(between);
    });
    expect(gpu.pool.usedBytes).toBe(used + 256);
    recording.dispose();
    expect(gpu.pool.usedBytes).toBe(used);
  });

  test("takes dispatches alone", () => {
    const x = scalar(1);
    expect(() => rec.capture(() => gpu.write(x, new Float32Array(1)))).toThrow("got a write");
    expect(() => rec.capture(() => rec.clear(x))).toThrow("got a clear");
    expect(() => rec.capture(() => rec.copy(x, scalar(2)))).toThrow("got a");
    expect(() => rec.clear(x)).not.toThrow();
  });
});
