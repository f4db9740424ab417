import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DeviceLostError, KernelCompileError, OutOfMemoryError, PithError } from "../../src/errors.ts";
import type { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { defineKernel } from "../../src/gpu/kernel.ts";
import { openGpu } from "../helpers/host.ts";
import { failingJob, lacksMemory } from "../helpers/scarce-gpu.ts";

const add = defineKernel({
  name: "add",
  source: `
struct Params { amount: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(1) fn add_forward() { x[0] += params.amount; }`,
});

let gpu: DeviceGpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.dispose());

const scalar = (job: Gpu, value: number) => job.upload(new Float32Array([value]), [1], "f32");
/** What WebGPU refuses: a copy beyond the buffer. */
const refused = (job: Gpu) => {
  const x = scalar(job, 1);
  const beyond = x.view([1]);
  Object.defineProperty(beyond, "byteLength", { value: 2 ** 20 });
  job.recorder().clear(beyond);
};

describe("what a job makes", () => {
  test("goes with its scope, whatever is released before, and nothing else does", async () => {
    const { usedBytes } = gpu.pool;
    const [one, other] = [gpu.scope(), gpu.scope()];
    const kept = scalar(other, 7);
    one.release(scalar(one, 1));
    scalar(one, 2);
    one.recorder().capture(() => one.release(one.empty([5], "f32")));
    one.close();
    expect(gpu.pool.usedBytes).toBe(usedBytes + 256);
    expect(await other.readF32(kept)).toEqual(new Float32Array([7]));
    other.close();
    expect(gpu.pool.usedBytes).toBe(usedBytes);
    expect(() => one.empty([1], "f32")).toThrow(/open scope/);
  });

  test("nobody else may release", () => {
    const [one, other] = [gpu.scope(), gpu.scope()];
    const x = scalar(one, 1);
    expect(() => other.release(x)).toThrow(/got another's to release/);
    expect(() => gpu.release(x)).toThrow(/got another's to release/);
    one.close();
    expect(() => one.release(x)).toThrow(/released twice/);
    other.close();
  });

  test("is nobody else's until the device has said that it is there", async () => {
    const [one, other] = [gpu.scope(), gpu.scope()];
    gpu.pool.trim();
    const first = one.empty([1000], "f32");
    one.release(first);
    const own = one.empty([1000], "f32");
    expect(own.buffer).toBe(first.buffer);
    one.release(own);
    expect(other.empty([1000], "f32").buffer).not.toBe(first.buffer);
    await one.idle();
    expect(other.empty([1000], "f32").buffer).toBe(first.buffer);
    for (const job of [one, other]) job.close();
  });
});

test("jobs' commands are done in the order in which they were recorded, though none is sent by hand", async () => {
  const [one, other] = [gpu.scope(), gpu.scope()];
  const x = scalar(one, 1);
  const y = other.empty([1], "f32");
  for (let i = 0; i < 5; i++) {
    one.recorder().dispatch(add, "add_forward", { params: { amount: 1 }, buffers: { x }, workgroups: [1] });
    other.recorder().dispatch(add, "add_forward", { params: { amount: 10 }, buffers: { x }, workgroups: [1] });
  }
  other.recorder().copy(x, y);
  one.recorder().clear(x);
  expect(await other.readF32(y)).toEqual(new Float32Array([56]));
  expect(await one.readF32(x)).toEqual(new Float32Array([0]));
  for (const job of [one, other]) job.close();
});

describe("an error", () => {
  test("is thrown at the job whose command the device refused, once", async () => {
    const [one, other] = [gpu.scope(), gpu.scope()];
    const [x, y] = [scalar(one, 1), scalar(other, 2)];
    refused(one);
    expect(await other.readF32(y)).toEqual(new Float32Array([2]));
    await gpu.idle();
    await expect(one.readF32(x)).rejects.toThrow(/^the GPU refused a command: /);
    expect(await one.readF32(x)).toEqual(new Float32Array([1]));
    refused(one);
    await expect(one.idle()).rejects.toThrow(PithError);
    await Promise.all([one, other, gpu].map((job) => job.idle()));
    for (const job of [one, other]) job.close();
  });

  test("of a job that has ended is nobody's", async () => {
    const one = gpu.scope();
    refused(one);
    one.close();
    await gpu.idle();
    await gpu.scope().idle();
  });

  test("for want of memory is thrown as that, and its buffer is never used", async (context) => {
    if (!(await lacksMemory(gpu))) return context.skip("the adapter has room for its largest buffer");
    const job = failingJob(gpu);
    const [one, other] = [job.gpu, gpu.scope()];
    const { allocatedBytes } = gpu.pool;
    Object.assign(job, { left: 0, failure: "not there" });
    one.recorder().clear(one.empty([1], "f32"));
    const y = scalar(other, 3);
    expect(await other.readF32(y)).toEqual(new Float32Array([3]));
    await expect(one.idle()).rejects.toThrow(OutOfMemoryError);
    await one.idle();
    one.close();
    expect(gpu.pool.allocatedBytes).toBeLessThanOrEqual(allocatedBytes + 256);
    other.close();
  });

  test("of a read-back that has no memory is that job's alone", async (context) => {
    if (!(await lacksMemory(gpu))) return context.skip("the adapter has room for its largest buffer");
    const [one, other] = [gpu.scope(), gpu.scope()];
    const [x, y] = [scalar(one, 1), scalar(other, 2)];
    const { device } = gpu;
    const createBuffer = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => createBuffer({ ...descriptor, size: device.limits.maxBufferSize });
    const reading = one.readF32(x);
    device.createBuffer = createBuffer;
    await expect(reading).rejects.toThrow(OutOfMemoryError);
    expect(await other.readF32(y)).toEqual(new Float32Array([2]));
    expect(await one.readF32(x)).toEqual(new Float32Array([1]));
    await gpu.idle();
    for (const job of [one, other]) job.close();
  });

  test("of a kernel that does not compile is every job's that uses it", async () => {
    const broken = defineKernel({
      name: "broken",
      source: "@compute @workgroup_size(1)\nfn f() { let a: u32 = 1.5; }",
    });
    const [one, other, none] = [gpu.scope(), gpu.scope(), gpu.scope()];
    for (const job of [one, other, one]) {
      job.recorder().dispatch(broken, "f", { buffers: {}, workgroups: [1] });
      await expect(job.idle()).rejects.toThrow(KernelCompileError);
    }
    await none.idle();
    await gpu.idle();
    for (const job of [one, other, none]) job.close();
  });
});

test("the loss of the device is every job's, at every wait, and no rejection is left unhandled", async () => {
  const lost = await openGpu();
  const [one, other] = [lost.scope(), lost.scope()];
  const [x, y] = [scalar(one, 1), scalar(other, 2)];
  const fresh = defineKernel({ name: "fresh", source: "@compute @workgroup_size(1) fn f() {}" });
  one.recorder().dispatch(fresh, "f", { buffers: {}, workgroups: [1] }); // being compiled when the device goes
  const waits = [one.readF32(x), other.readF32(y), other.idle(), lost.idle(), lost.trim()];
  lost.device.destroy();
  for (const result of await Promise.allSettled(waits))
    if (result.status === "rejected") expect(result.reason).toBeInstanceOf(DeviceLostError);
  one.recorder().dispatch(fresh, "f", { buffers: {}, workgroups: [1] });
  for (const wait of [one.readF32(x), one.idle(), other.idle(), other.idle(), lost.trim()])
    await expect(wait).rejects.toThrow(DeviceLostError);
  await new Promise((resolve) => setTimeout(resolve, 150)); // for what would still be rejected
});
