import { expect, test } from "vitest";
import rng from "../../shaders/lib/rng.wgsl" with { type: "text" };
import { defineKernel } from "../../src/gpu/kernel.ts";
import { philox } from "../../src/core/rng.ts";
import { gumbel } from "../../src/reference/rng.ts";
import { expectClose, testGpu } from "../helpers/gpu.ts";

const kernel = defineKernel({
  name: "rng",
  includes: [rng],
  source: `
@group(0) @binding(0) var<storage, read> counters: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> keys: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> bits: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> noise: array<vec4<f32>>;
@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  bits[gid.x] = philox4x32(counters[gid.x], keys[gid.x]);
  noise[gid.x] = gumbel(counters[gid.x]);
}`,
});

test("the bits are the twin's, the noise is its to float32", async () => {
  const gpu = await testGpu();
  const words = (n: number) => Uint32Array.from({ length: n }, (_, i) => Math.imul(i * i + 1, 0x9e3779b1));
  const counters = words(128);
  counters.set([0, 0xffffffff, 1, 0x07ffffff, 0x08000000, 0x08000001, 0x80000000, 0xfffffe00]); // the noise's edges
  const keys = words(64).reverse();
  const bits = gpu.empty([32, 4], "u32");
  const noise = gpu.empty([32, 4], "f32");
  gpu.recorder().dispatch(kernel, "main", {
    buffers: { counters: gpu.upload(counters, [32, 4], "u32"), keys: gpu.upload(keys, [32, 2], "u32"), bits, noise },
    workgroups: [1],
  });
  const want = Array.from({ length: 32 }, (_, i) => [
    ...philox(counters.subarray(4 * i, 4 * i + 4), keys.subarray(2 * i, 2 * i + 2)),
  ]);
  expect(Array.from(await gpu.readU32(bits))).toEqual(want.flat());
  expectClose(await gpu.readF32(noise), Array.from(counters, gumbel), { rtol: 1e-6, atol: 1e-5 });
});
