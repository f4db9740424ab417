import { ConfigError } from "../errors.ts";

/** Kernel tiers, slowest first. The baseline needs nothing beyond WebGPU's defaults. */
export const TIERS = ["baseline", "subgroups"] as const;
export type Tier = (typeof TIERS)[number];

/** Invocations that a subgroup must have at least: shaders/linear-subgroup.wgsl holds 8 rows in one. */
const MIN_SUBGROUP_SIZE = 8;

/** The best tier that an adapter has by its features and limits, or the `wanted` one if it has that. */
export function chooseTier(adapter: Pick<GPUAdapter, "features" | "info">, wanted?: string): Tier {
  const available: Tier[] = ["baseline"];
  const { subgroupMinSize } = adapter.info;
  if (adapter.features.has("subgroups") && subgroupMinSize >= MIN_SUBGROUP_SIZE) available.push("subgroups");
  if (!wanted) return available.at(-1)!;
  const tier = available.find((name) => name === wanted);
  if (!tier) {
    throw new ConfigError(
      `expected a kernel tier of this adapter (${available.join(", ")}), got "${wanted}"; set PITH_TIER to one of them`,
    );
  }
  return tier;
}
