import { ShapeError } from "../errors.ts";
import type { Kernel } from "./kernel.ts";
import type { Recording } from "./recording.ts";
import type { Tensor } from "./tensor.ts";
import type { Workspace } from "./workspace.ts";

export interface Dispatch {
  /** Fields of the kernel's `var<uniform> params`; those left out are 0. */
  params?: Record<string, number>;
  /** By WGSL variable name: exactly those that the entry point uses. */
  buffers: Record<string, Tensor>;
  /** A single number above 65,535 is folded to two dimensions; shaders/lib/index.wgsl undoes it. */
  workgroups: readonly [number] | readonly [number, number] | readonly [number, number, number];
  /** Values of `override` constants. */
  constants?: Record<string, number>;
  /** What it takes at least, for plans; without it no operations, and each of its buffers once. */
  cost?: Cost;
}

/** Records work for a device, in the order in which it will be done. */
export interface Recorder {
  readonly gpu: Workspace;

  dispatch(kernel: Kernel, entryPoint: string, dispatch: Dispatch): void;

  /** Sets every element to zero. */
  clear(tensor: Tensor): void;

  /** Copies `source` over `target`, of the same dtype, from its element `start` on; without `start` they have the same size. */
  copy(source: Tensor, target: Tensor, start?: number): void;

  /**
   * Records `work`, dispatches and submits alone, without sending it: `replay` does, as often as wanted, and at a fraction of the
   * cost of recording it. The caller disposes of the recording.
   */
  capture(work: () => void): Recording;

  /** Sends what was captured, submit by submit. */
  replay(recording: Recording): void;

  /** Sends what was recorded. Waiting for it is the business of a read or of `gpu.idle()`. */
  submit(): void;
}

/** Multiplications and additions, and bytes that are read and written. */
export interface Cost {
  flops: number;
  bytes: number;
}

const MAX_GROUPS = 65535;

/** Workgroups of a dispatch in three dimensions, each within WebGPU's limit. */
export function fold(workgroups: Dispatch["workgroups"], label: string): [number, number, number] {
  const [x, y, z] = workgroups;
  if (y === undefined && x > MAX_GROUPS) {
    const rows = Math.ceil(x / MAX_GROUPS);
    return [Math.ceil(x / rows), rows, 1];
  }
  if (x > MAX_GROUPS || (y ?? 1) > MAX_GROUPS || (z ?? 1) > MAX_GROUPS) {
    throw new ShapeError(`${label}: expected at most ${MAX_GROUPS} workgroups a dimension, got [${workgroups}]`);
  }
  return [x, y ?? 1, z ?? 1];
}
