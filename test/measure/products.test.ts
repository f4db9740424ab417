import { expect, test } from "vitest";
import { MODELS } from "../../src/measure/models.ts";
import { productChoices } from "../../src/measure/products.ts";
import type { KernelTraits } from "../../src/gpu/workspace.ts";

const like = (tier: KernelTraits["tier"], matrices: KernelTraits["matrices"] = null): KernelTraits => ({
  tier,
  matrices,
  info: { vendor: "nvidia", subgroupMinSize: 32, subgroupMaxSize: 32, isFallbackAdapter: false } as GPUAdapterInfo,
  limits: {
    maxBufferSize: 2 ** 32,
    maxStorageBufferBindingSize: 2 ** 31,
    maxComputeInvocationsPerWorkgroup: 1024,
    maxComputeWorkgroupStorageSize: 49_152,
  } as GPUSupportedLimits,
  maxBindingSize: 2 ** 31,
  tuning: null,
});

test("the kernel of each product is that of its tier and storage", () => {
  const kernels = (traits: KernelTraits, storage: "f32" | "bf16") => {
    const rows = productChoices(traits, MODELS["r1-1.5b"]!, storage);
    expect(rows.map(({ product }) => product)).toEqual(
      ["forward", "swiglu", "logits", "backward_input", "backward_weight"].map((name) => `linear_${name}`),
    );
    return [...new Set(rows.flatMap(({ choices }) => choices.map((choice) => choice.split(" ")[0])))];
  };
  const matrices = { m: 16, n: 16, k: 16, component: "f16" } as const;
  expect(kernels(like("baseline"), "bf16")).toEqual(["linear"]);
  expect(kernels(like("subgroups"), "bf16")).toEqual(["linear-subgroup"]);
  expect(kernels(like("matrices", matrices), "bf16")).toEqual(["linear-matrix"]);
  expect(kernels(like("matrices", matrices), "f32")).toEqual(["linear-subgroup"]);
});

test("more rows are more workgroups, and a wider product is wider", () => {
  const [forward, swiglu] = productChoices(like("subgroups"), MODELS["r1-1.5b"]!, "bf16");
  expect(forward!.choices).toEqual(["linear-subgroup 12 x 1", "linear-subgroup 12 x 4", "linear-subgroup 12 x 256"]);
  expect(swiglu!.choices[0]).toBe("linear-subgroup 140 x 1");
});
