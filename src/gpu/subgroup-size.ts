/** Dawn's feature of entry points that say how many invocations a subgroup of them has; not yet WebGPU's. */
export const SUBGROUP_SIZE_FEATURE = "subgroup-size-control";

/**
 * Invocations of every subgroup where the compiler's choice has to be overruled, or null. Intel's doubles the smallest size wherever a
 * workgroup allows it, and with it the registers that each number takes; kernels here have too many numbers for that.
 */
export const fixedSubgroupSize = ({ features, info }: Pick<GPUAdapter, "features" | "info">): number | null =>
  info.vendor === "intel" && (features as ReadonlySet<string>).has(SUBGROUP_SIZE_FEATURE)
    ? info.subgroupMinSize!
    : null;

/** The adapter's, as they are for kernels whose subgroups have `size` invocations. */
export const infoWithSize = (info: GPUAdapterInfo, size: number | null): GPUAdapterInfo => {
  if (size === null) return info;
  const { vendor, architecture, device, description, isFallbackAdapter } = info;
  const sizes = { subgroupMinSize: size, subgroupMaxSize: size };
  return { __brand: "GPUAdapterInfo", vendor, architecture, device, description, isFallbackAdapter, ...sizes };
};

/** The text of a kernel with `size` at its entry points, for kernels that use subgroups. */
export const textWithSize = (text: string, size: number): string =>
  `enable subgroup_size_control; ${text.replaceAll("@compute", `@compute @subgroup_size(${size})`)}`;
