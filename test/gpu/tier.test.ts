import { expect, test } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { chooseMatrices, chooseTier, MATRIX_FEATURE } from "../../src/gpu/tier.ts";

const LIMITS = { maxComputeWorkgroupStorageSize: 32768, maxComputeInvocationsPerWorkgroup: 1024 };

const adapter = (
  features: string[],
  subgroupSize: number,
  { configs = [] as object[], limits = {}, isFallbackAdapter = false } = {},
) => ({
  features: new Set(features) as GPUSupportedFeatures,
  info: {
    subgroupMinSize: subgroupSize,
    subgroupMaxSize: subgroupSize,
    subgroupMatrixConfigs: configs,
    isFallbackAdapter,
  } as unknown as GPUAdapterInfo,
  limits: { ...LIMITS, ...limits } as GPUSupportedLimits,
});

const config = (M: number, N: number, K: number, componentType: string, resultComponentType: string) => ({
  M,
  N,
  K,
  componentType,
  resultComponentType,
});

const ALL = ["subgroups", "shader-f16", MATRIX_FEATURE];
const NVIDIA = [
  config(16, 16, 16, "f16", "f16"),
  config(16, 8, 16, "f16", "f32"),
  config(16, 16, 16, "f16", "f32"),
  config(16, 16, 32, "i8", "i32"),
];
const METAL = [config(8, 8, 8, "f32", "f32"), config(8, 8, 8, "f16", "f16")];

test("the tier is the best that features and limits allow", () => {
  expect(chooseTier(adapter([], 0))).toBe("baseline");
  expect(chooseTier(adapter(["subgroups"], 4))).toBe("baseline");
  expect(chooseTier(adapter(["subgroups"], 8))).toBe("subgroups");
  expect(chooseTier(adapter(ALL, 32, { configs: NVIDIA }))).toBe("matrices");
  expect(chooseTier(adapter(ALL, 32))).toBe("subgroups");
  expect(chooseTier(adapter([MATRIX_FEATURE, "shader-f16"], 32, { configs: NVIDIA }))).toBe("baseline");
});

test("another tier can be asked for, one that the adapter lacks cannot", () => {
  expect(chooseTier(adapter(["subgroups"], 32), "baseline")).toBe("baseline");
  expect(chooseTier(adapter(ALL, 32, { configs: NVIDIA }), "subgroups")).toBe("subgroups");
  expect(chooseTier(adapter(["subgroups", "shader-f16"], 32))).toBe("subgroups");
  expect(() => chooseTier(adapter(["subgroups", "shader-f16"], 32), "f16")).toThrow(ConfigError);
  expect(() => chooseTier(adapter([], 0), "subgroups")).toThrow(ConfigError);
  expect(() => chooseTier(adapter(["subgroups"], 32), "fastest")).toThrow(
    'expected a kernel tier of this adapter (baseline, subgroups), got "fastest"',
  );
});

test("software's matrices are there for whoever asks", () => {
  const software = adapter(ALL, 8, { configs: [config(8, 8, 8, "f16", "f32")], isFallbackAdapter: true });
  expect(chooseTier(software)).toBe("subgroups");
  expect(chooseTier(software, "matrices")).toBe("matrices");
});

test("the matrices are the largest with f32 results, of f16 before f32", () => {
  const f16 = (m: number, n: number, k: number) => ({ m, n, k, component: "f16" });
  expect(chooseMatrices(adapter(ALL, 32, { configs: NVIDIA }))).toEqual(f16(16, 16, 16));
  expect(chooseMatrices(adapter(ALL, 32, { configs: NVIDIA.toReversed() }))).toEqual(f16(16, 16, 16));
  expect(chooseMatrices(adapter(ALL, 16, { configs: [config(8, 16, 16, "f16", "f32")] }))).toEqual(f16(8, 16, 16));
  expect(chooseMatrices(adapter(ALL, 32, { configs: METAL }))).toEqual({ m: 8, n: 8, k: 8, component: "f32" });
  expect(chooseMatrices(adapter(ALL, 32, { configs: [...METAL, ...NVIDIA] }))).toEqual(f16(16, 16, 16));
});

test("there are no matrices without f16, with f16 results alone, or in too little memory", () => {
  const without = (feature: string) => ALL.filter((name) => name !== feature);
  expect(chooseMatrices(adapter(without("shader-f16"), 32, { configs: NVIDIA }))).toBeNull();
  expect(chooseMatrices(adapter(without("shader-f16"), 32, { configs: METAL }))).not.toBeNull();
  expect(chooseMatrices(adapter(without(MATRIX_FEATURE), 32, { configs: NVIDIA }))).toBeNull();
  expect(chooseMatrices(adapter(ALL, 32, { configs: [config(16, 16, 16, "f16", "f16")] }))).toBeNull();
  expect(chooseMatrices(adapter(ALL, 32, { configs: [config(4, 8, 8, "f16", "f32")] }))).toBeNull();
  const limits = { maxComputeWorkgroupStorageSize: 8192 };
  expect(chooseMatrices(adapter(ALL, 32, { configs: NVIDIA, limits }))).toBeNull();
  const narrow = { maxComputeInvocationsPerWorkgroup: 64 };
  expect(chooseMatrices(adapter(ALL, 128, { configs: NVIDIA, limits: narrow }))).toBeNull();
});
