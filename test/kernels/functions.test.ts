import { describe, expect, test } from "vitest";
import { defineKernel } from "../../src/gpu/kernel.ts";
import exp from "../../shaders/lib/exp.wgsl" with { type: "text" };
import log from "../../shaders/lib/log.wgsl" with { type: "text" };
import { testGpu } from "../helpers/gpu.ts";

const FUNCTIONS = { exp_f32: exp, log_f32: log };

async function evaluate(name: keyof typeof FUNCTIONS, values: Float32Array): Promise<Float32Array> {
  const gpu = await testGpu();
  const source = `
    @group(0) @binding(1) var<storage, read_write> x: array<f32>;
    @compute @workgroup_size(64) fn apply(@builtin(global_invocation_id) gid: vec3<u32>) {
      if (gid.x < arrayLength(&x)) { x[gid.x] = ${name}(x[gid.x]); }
    }`;
  const x = gpu.upload(values, [values.length], "f32");
  gpu.recorder().dispatch(defineKernel({ name, source, includes: [FUNCTIONS[name]] }), "apply", {
    buffers: { x },
    workgroups: [Math.ceil(values.length / 64)],
  });
  return gpu.readF32(x);
}

/** Largest and mean relative error, of numbers that have no zero among them. */
function relativeErrors(got: Float32Array, want: number[]) {
  const errors = want.map((w, i) => (got[i]! - w) / w);
  return {
    largest: Math.max(...errors.map(Math.abs)),
    mean: Math.abs(errors.reduce((sum, e) => sum + e, 0) / errors.length),
  };
}

describe("elementary functions that sums depend on", () => {
  const points = (from: number, to: number) =>
    Float32Array.from({ length: 20000 }, (_, i) => from + ((to - from) * (i + 0.5)) / 20000);

  test.each([
    [-87, 0],
    [-1, 1],
    [0, 88],
  ])("exp between %d and %d", async (from, to) => {
    const x = points(from, to);
    const { largest, mean } = relativeErrors(await evaluate("exp_f32", x), Array.from(x, Math.exp));
    expect(largest).toBeLessThan(2e-7);
    expect(mean).toBeLessThan(3e-8);
  });

  test("exp at its ends", async () => {
    const x = Float32Array.from([0, -0, -104, -1e4, -3.4e38, 100, 3.4e38, NaN]);
    expect(Array.from(await evaluate("exp_f32", x))).toEqual([1, 1, 0, 0, 0, Infinity, Infinity, NaN]);
  });

  test.each([
    [1e-30, 1e-3],
    [1.01, 400],
    [1e3, 1e30],
  ])("log between %d and %d", async (from, to) => {
    const x = points(from, to);
    const { largest, mean } = relativeErrors(await evaluate("log_f32", x), Array.from(x, Math.log));
    expect(largest).toBeLessThan(2e-7);
    expect(mean).toBeLessThan(3e-8);
  });

  test("log at its ends", async () => {
    const x = Float32Array.from([1, Infinity, NaN]);
    expect(Array.from(await evaluate("log_f32", x))).toEqual([0, Infinity, NaN]);
  });
});
