import type { Storage } from "../gpu/tensor.ts";
import type { KernelTraits } from "../gpu/workspace.ts";
import type { Cost } from "./cost.ts";
import type { Phase } from "./phases.ts";

/** What an adapter can do at most, and what its kernels are chosen by. */
export interface AdapterRoof {
  name: string;
  /** Operations a second of dense products by the weight's storage: bf16 on matrices with f32 sums where there are any, f32 without. */
  flops: Record<Storage, number>;
  /** Bytes a second from memory. */
  bytes: number;
  /** The shares of these that kernels are expected to reach. */
  reached: Cost;
  /** How many times as long as planned by these each phase was measured to take on the adapter, where it was. */
  times?: Record<Phase, number>;
  traits: KernelTraits;
}

const traits = (
  vendor: string,
  [subgroupMinSize, subgroupMaxSize]: readonly [number, number],
  matrices: KernelTraits["matrices"],
  workgroupBytes: number,
): KernelTraits => ({
  tier: matrices ? "matrices" : "subgroups",
  matrices,
  info: { vendor, isFallbackAdapter: false, subgroupMinSize, subgroupMaxSize } as GPUAdapterInfo,
  limits: {
    maxBufferSize: Infinity,
    maxStorageBufferBindingSize: 2 ** 31 - 4,
    maxComputeInvocationsPerWorkgroup: 1024,
    maxComputeWorkgroupStorageSize: workgroupBytes,
  } as GPUSupportedLimits,
  maxBindingSize: 2 ** 31 - 4,
  tuning: null,
});

const sixteen = { m: 16, n: 16, k: 16, component: "f16" } as const;
const nvidia = traits("nvidia", [32, 32], sixteen, 49152);
const TERA = 1e12;
/** What kernels of this kind reach of makers' figures: published products through Vulkan, and kernels bound by memory. */
const reached: Cost = { flops: 0.3, bytes: 0.75 };

/**
 * The makers' figures: NVIDIA H100 SXM data sheet (2023), H200 SXM data sheet (2024), A100 80GB SXM data sheet (2021), Ada architecture
 * white paper (2023, RTX 4090, f16 with f32 sums), AMD RX 7900 XTX product page (f16 matrices, twice f32), Apple M3 Max newsroom
 * and 40 cores x 128 lanes x 2 x 1.4 GHz (f32).
 */
export const ROOFS: Readonly<Record<string, AdapterRoof>> = {
  h100: { name: "H100 SXM", flops: { f32: 67 * TERA, bf16: 989 * TERA }, bytes: 3.35 * TERA, reached, traits: nvidia },
  h200: { name: "H200 SXM", flops: { f32: 67 * TERA, bf16: 989 * TERA }, bytes: 4.8 * TERA, reached, traits: nvidia },
  a100: {
    name: "A100 80GB SXM",
    flops: { f32: 19.5 * TERA, bf16: 312 * TERA },
    bytes: 2.039 * TERA,
    reached,
    traits: nvidia,
  },
  "4090": {
    name: "RTX 4090",
    flops: { f32: 82.6 * TERA, bf16: 165.2 * TERA },
    bytes: 1.008 * TERA,
    reached,
    traits: nvidia,
  },
  "7900xtx": {
    name: "RX 7900 XTX",
    flops: { f32: 61.4 * TERA, bf16: 122.8 * TERA },
    bytes: 0.96 * TERA,
    reached,
    traits: traits("amd", [32, 64], sixteen, 65536),
  },
  m3max: {
    name: "M3 Max",
    flops: { f32: 14.3 * TERA, bf16: 14.3 * TERA },
    bytes: 0.4 * TERA,
    reached,
    traits: traits("apple", [32, 32], { m: 8, n: 8, k: 8, component: "f32" }, 32768),
  },
};

/** The figures of an adapter by the name that its driver gives it, if they are here. */
export const roofNamed = (adapter: string): AdapterRoof | undefined => {
  const plain = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  return Object.entries(ROOFS).find(([key]) => plain(adapter).includes(key))?.[1];
};
