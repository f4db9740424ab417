import type { Gpu } from "../../src/gpu/gpu.ts";
import { planningGpu } from "../../src/gpu/planning-gpu.ts";
import type { KernelTraits } from "../../src/gpu/workspace.ts";

/** What takes the dispatches of a GPU with subgroup matrices, here where there is none, and computes nothing. */
export const plannedMatrices = (info: object = {}): Gpu =>
  planningGpu({}, {
    tier: "matrices",
    matrices: { m: 16, n: 16, k: 16, component: "f16" },
    info: {
      vendor: "nvidia",
      architecture: "hopper",
      device: "0x2330",
      description: "NVIDIA: 550.54",
      subgroupMinSize: 32,
      subgroupMaxSize: 32,
      ...info,
    },
    limits: {
      maxBufferSize: 2 ** 40,
      maxStorageBufferBindingSize: 2 ** 32,
      maxComputeInvocationsPerWorkgroup: 1024,
      maxComputeWorkgroupStorageSize: 49152,
    },
    maxBindingSize: 2 ** 32,
    tuning: null,
  } as unknown as KernelTraits);
