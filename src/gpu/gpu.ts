import type { Pool } from "./pool.ts";
import type { Recorder } from "./recorder.ts";
import type { Tensor } from "./tensor.ts";
import type { Timer } from "./timer.ts";
import type { Workspace } from "./workspace.ts";

/**
 * A device as one job sees it: the tensors that it makes are its own, and so are the errors of what it records. Errors of a
 * device are asynchronous: the next call here that waits throws the first of this job's, once. The loss of the device is
 * everybody's and stays.
 */
export interface Gpu extends Workspace {
  /** The adapter's, for people. */
  readonly name: string;
  /** What errors call it. */
  label: string;
  /** All buffers of the device. */
  readonly pool: Pool;
  /** The devices of the job: itself, but for splitGpu's. */
  readonly devices: readonly Gpu[];
  /** While set, every dispatch on the device is timed. */
  timer: Timer | null;

  recorder(): Recorder;

  /** Overwrites a tensor with data from the host, after everything recorded so far. Of bf16 a Uint16Array holds the bits. */
  write(tensor: Tensor, data: Float32Array | Uint32Array | Int32Array | Uint16Array): void;

  readF32(tensor: Tensor): Promise<Float32Array>;
  /** The contents of f32 and bf16 tensors, with one copy and one wait for all of them. */
  readAllF32(tensors: readonly Tensor[]): Promise<Float32Array[]>;
  readU32(tensor: Tensor): Promise<Uint32Array>;
  /** The tensor's bytes as they lie on the device (bf16: two bytes an element). */
  readBytes(tensor: Tensor): Promise<Uint8Array>;

  /** Sends what is recorded and resolves when the device has done it. */
  idle(): Promise<void>;
  /**
   * Waits as `idle` does, but only where the device already has work for longer than is good for whoever shares it: between two
   * pieces of long work. Whether it waited.
   */
  throttle(): Promise<boolean>;
  /** Gives the memory back that lies idle, once the device has done what was sent. No job's errors are thrown here. */
  trim(): Promise<void>;

  /** The one of its devices that has a model's layer. */
  at(layer: number): Gpu;

  /** The same device for another job. */
  scope(): Scope;
}

export interface Scope extends Gpu {
  /** Releases all that was made here and is not released, and forgets the errors that nobody waited for. */
  close(): void;
}
