import { afterAll, describe, expect, test } from "vitest";
import { Stopwatch } from "../../src/measure/stopwatch.ts";
import { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { defineKernel } from "../../src/gpu/kernel.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { Timer } from "../../src/gpu/timer.ts";
import { testGpu } from "../helpers/gpu.ts";

const kernel = defineKernel({
  name: "count",
  source: `
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn one() { y[0] += 1; }
@compute @workgroup_size(1) fn many() { for (var i = 0; i < 20000; i++) { y[0] += f32(i & 1); } }`,
});

const gpu = await testGpu();
const hasTimestamps = gpu.features.has("timestamp-query");

/** Dispatches `times` on `device`, in one submit. */
function dispatch(device: Gpu, y: Tensor, entryPoint: string, times: number): void {
  for (let i = 0; i < times; i++) device.recorder().dispatch(kernel, entryPoint, { buffers: { y }, workgroups: [1] });
}

describe.skipIf(!hasTimestamps)("with timestamps (skipped where the adapter has none)", () => {
  const timer = hasTimestamps ? new Timer(gpu.device) : null!;
  /** What the timer says of `work`. */
  async function timed(work: () => Promise<void> | void) {
    gpu.timer = timer;
    try {
      await work();
      await gpu.idle();
    } finally {
      gpu.timer = null;
    }
    return timer.take();
  }

  test("every dispatch is counted under its kernel, over several submits; the most expensive comes first", async () => {
    const y = gpu.zeros([1], "f32");
    const kernels = await timed(async () => {
      dispatch(gpu, y, "one", 3);
      await gpu.idle();
      dispatch(gpu, y, "many", 5);
      dispatch(gpu, y, "one", 4);
    });
    expect(Object.fromEntries(kernels.map(({ label, count }) => [label, count]))).toEqual({
      "count.one": 7,
      "count.many": 5,
    });
    expect(kernels.every(({ ms }) => Number.isFinite(ms) && ms > 0)).toBe(true);
    expect(kernels.map(({ ms }) => ms)).toEqual(kernels.map(({ ms }) => ms).sort((a, b) => b - a));
    expect((await gpu.readF32(y))[0]).toBe(5 * 10000 + 7);
    expect(await timer.take()).toEqual([]);
  });

  test.each([2047, 2048, 2049, 5000])("all of %d dispatches in one submit are", async (times) => {
    const y = gpu.zeros([1], "f32");
    const kernels = await timed(() => dispatch(gpu, y, "one", times));
    expect(kernels.map(({ label, count }) => [label, count])).toEqual([["count.one", times]]);
    expect((await gpu.readF32(y))[0]).toBe(times);
  });

  test("those of a recording are, each time that it is replayed, and none while the timer is off", async () => {
    const y = gpu.zeros([1], "f32");
    const recording = gpu.recorder().capture(() => dispatch(gpu, y, "one", 3));
    gpu.recorder().replay(recording);
    await gpu.idle();
    const kernels = await timed(() => {
      gpu.recorder().replay(recording);
      gpu.recorder().replay(recording);
    });
    expect(kernels.map(({ count }) => count)).toEqual([6]);
    recording.dispose();
  });
});

describe("without timestamps", () => {
  const instances: (GPU | undefined)[] = []; // Dawn's must outlive their devices
  let device: DeviceGpu | null = null;
  afterAll(() => device?.dispose());

  test("kernels are timed by the host's clock", async () => {
    instances.push("Deno" in globalThis ? navigator.gpu : (await import("webgpu")).create([]));
    const adapter = (await instances[0]!.requestAdapter())!;
    const { limits, info } = adapter;
    const features = new Set([...adapter.features].filter((feature) => feature !== "timestamp-query"));
    const requestDevice = (descriptor: GPUDeviceDescriptor) => adapter.requestDevice(descriptor);
    device = await DeviceGpu.open({ limits, info, features, requestDevice } as unknown as GPUAdapter);
    expect(device.features.has("timestamp-query")).toBe(false);
    const y = device.zeros([1], "f32");
    const { clock, ms } = await new Stopwatch(device).recorded(() => dispatch(device!, y, "one", 1), 0.01);
    expect(clock).toBe("host");
    expect(ms.median).toBeGreaterThan(0);
    expect((await device.readF32(y))[0]).toBeGreaterThan(3);
  });
});
