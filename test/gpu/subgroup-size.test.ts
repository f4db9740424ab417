import { expect, test } from "vitest";
import { compileErrors, compileModule, defineKernel } from "../../src/gpu/kernel.ts";
import { fixedSubgroupSize, infoWithSize, SUBGROUP_SIZE_FEATURE } from "../../src/gpu/subgroup-size.ts";
import { testGpu } from "../helpers/gpu.ts";

const info = (vendor: string) => ({ vendor, subgroupMinSize: 16, subgroupMaxSize: 32 }) as GPUAdapterInfo;
const features = new Set([SUBGROUP_SIZE_FEATURE]) as unknown as GPUSupportedFeatures;
const none = new Set<string>() as unknown as GPUSupportedFeatures;

test("Intel's subgroups have the smallest size, where a kernel can say so", () => {
  expect(fixedSubgroupSize({ features, info: info("intel") })).toBe(16);
  expect(fixedSubgroupSize({ features: none, info: info("intel") })).toBe(null);
  expect(fixedSubgroupSize({ features, info: info("nvidia") })).toBe(null);
  expect(infoWithSize(info("intel"), 16)).toMatchObject({ vendor: "intel", subgroupMinSize: 16, subgroupMaxSize: 16 });
  expect(infoWithSize(info("nvidia"), null)).toEqual(info("nvidia"));
});

const gpu = await testGpu();
const hasSizes = (gpu.device.features as ReadonlySet<string>).has(SUBGROUP_SIZE_FEATURE);

test.skipIf(!hasSizes)("the size is said to the compiler [skipped where Dawn cannot]", async () => {
  const kernel = defineKernel({ name: "sized", source: `enable subgroups; ${KERNEL}` });
  const errors = (size: number) => compileErrors(kernel, "f32", compileModule(gpu.device, kernel, "f32", size).module);
  expect(await errors(gpu.info.subgroupMinSize!)).toEqual([]);
  expect((await errors(12)).join()).toMatch(/subgroup_size/); // no power of two
});

const KERNEL = `
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn sum(@builtin(local_invocation_index) i: u32) { y[i] = subgroupAdd(y[i]); }
`;
