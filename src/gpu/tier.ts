import { ConfigError } from "../errors.ts";

/** Kernel tiers, slowest first. The baseline needs nothing beyond WebGPU's defaults. */
export const TIERS = ["baseline", "subgroups", "matrices"] as const;
export type Tier = (typeof TIERS)[number];

/** Invocations that a subgroup must have at least: shaders/linear-subgroup.wgsl holds 8 rows in one. */
const MIN_SUBGROUP_SIZE = 8;

/** Dawn's feature of subgroup matrices, which are not yet WebGPU's. */
export const MATRIX_FEATURE = "chromium-experimental-subgroup-matrix";

/** A product of subgroup matrices with results in f32: M x K times K x N, of these components. */
export interface Matrices {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly component: "f16" | "f32";
}

/** As Dawn lists them in GPUAdapterInfo. */
interface MatrixConfig {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly componentType: string;
  readonly resultComponentType: string;
}

/** What a choice is made from. */
export type TierAdapter = Pick<GPUAdapter, "features" | "info" | "limits">;

/** Workgroup memory that the smaller tiles of shaders/linear-matrix.wgsl need, which is WebGPU's default. */
const MATRIX_WORKGROUP_BYTES = 16384;

/**
 * The adapter's subgroup matrices that the kernels use, or null without. f16 components, which take half the memory and are
 * what hardware is fast at, before f32; the largest product of them. Sizes must be multiples of eight, for kernels load eight
 * numbers at a time.
 */
export function chooseMatrices({ features, info, limits }: TierAdapter): Matrices | null {
  const has = (feature: string) => (features as ReadonlySet<string>).has(feature);
  if (!has(MATRIX_FEATURE)) return null;
  if (limits.maxComputeWorkgroupStorageSize < MATRIX_WORKGROUP_BYTES) return null;
  // At least one of the largest subgroups that may be must fit into a workgroup.
  if (limits.maxComputeInvocationsPerWorkgroup < info.subgroupMaxSize) return null;
  const { subgroupMatrixConfigs: configs = [] } = info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> };
  const volume = ({ m, n, k }: Matrices) => m * n * k;
  const [best] = Array.from(configs)
    .filter(({ componentType, resultComponentType }) => {
      const available = componentType === "f32" || (componentType === "f16" && has("shader-f16"));
      return available && resultComponentType === "f32";
    })
    .filter(({ M, N, K }) => M % 8 === 0 && N % 8 === 0 && K % 8 === 0)
    .map(({ M, N, K, componentType }) => ({ m: M, n: N, k: K, component: componentType as "f16" | "f32" }))
    .sort((a, b) => a.component.localeCompare(b.component) || volume(b) - volume(a));
  return best ?? null;
}

/**
 * The best tier that an adapter has by its features and limits, or the `wanted` one if it has that. A fallback adapter, which is
 * software, has subgroup matrices only to try kernels with: it takes several times longer with them.
 */
export function chooseTier(adapter: TierAdapter, wanted?: string): Tier {
  const available: Tier[] = ["baseline"];
  const { subgroupMinSize, isFallbackAdapter } = adapter.info;
  if (adapter.features.has("subgroups") && subgroupMinSize >= MIN_SUBGROUP_SIZE) {
    available.push("subgroups");
    if (chooseMatrices(adapter)) available.push("matrices");
  }
  if (!wanted) return available.findLast((tier) => !(tier === "matrices" && isFallbackAdapter))!;
  const tier = available.find((name) => name === wanted);
  if (!tier) {
    throw new ConfigError(
      `expected a kernel tier of this adapter (${available.join(", ")}), got "${wanted}"; set PITH_TIER to one of them`,
    );
  }
  return tier;
}
