/**
 * Whether an invocation has registers for the sums of a large tile (128 numbers in f32, besides what it works with) while a
 * multiprocessor still holds several subgroups: NVIDIA's have 255, AMD's from RDNA on 256 in subgroups of 32. Intel's have 128 in
 * subgroups of the smallest size, AMD's before RDNA hold one subgroup with as many, Apple's and Qualcomm's spill. Software spills
 * whatever it is given, and is the faster the fewer loads there are.
 */
export const hasManyRegisters = ({ vendor, subgroupMinSize, isFallbackAdapter }: GPUAdapterInfo): boolean =>
  isFallbackAdapter || vendor === "nvidia" || (vendor === "amd" && subgroupMinSize === 32);
