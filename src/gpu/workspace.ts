import type { DType, Tensor } from "./tensor.ts";
import type { Matrices, Tier } from "./tier.ts";
import type { Tuning } from "./tuning.ts";

/** What kernels choose their variants by. */
export interface KernelTraits {
  readonly tier: Tier;
  /** The subgroup matrices that kernels of the tier "matrices" use; null in other tiers. */
  readonly matrices: Matrices | null;
  readonly info: GPUAdapterInfo;
  readonly limits: GPUSupportedLimits;
  /** Bytes of a buffer that a kernel can be given at once. Larger tensors go to kernels by `windows` (kernels/windows.ts). */
  readonly maxBindingSize: number;
  /** Tiles that were measured on this adapter, of which kernels make their choice; null without. */
  tuning: Tuning | null;
}

/** What recording a kernel needs besides its tensors: its variant's traits, and memory for what lies between dispatches. */
export interface Workspace extends KernelTraits {
  /** A tensor of undefined content. */
  empty(shape: readonly number[], dtype: DType): Tensor;
  zeros(shape: readonly number[], dtype: DType): Tensor;
  /** Float data under dtype "bf16" is rounded to nearest even. */
  upload(data: Float32Array | Uint32Array | Int32Array, shape: readonly number[], dtype: DType): Tensor;
  /** Gives tensors back that were made here. Work that is recorded later may get their buffers at once. */
  release(...tensors: (Tensor | null | undefined)[]): void;
}
