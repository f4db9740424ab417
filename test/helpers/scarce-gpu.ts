import { OutOfMemoryError } from "../../src/errors.ts";
import type { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import type { Scope } from "../../src/gpu/gpu.ts";
import { sizeClass, type Owner } from "../../src/gpu/pool.ts";
import type { AdamW } from "../../src/train/optimizer.ts";
import { openGpu } from "./host.ts";

/** A device on which memory runs out where the test says. */
export interface ScarceGpu {
  gpu: DeviceGpu;
  /** Bytes that a buffer may have, but for the gradients of the optimizer whose they are. */
  largest: number;
  spared: Owner | null;
  /** Bytes that may be in use at once. */
  capacity: number;
  /** Buffers that the pool may still hand out before it refuses `refusals` of them, one after the other. */
  grants: number;
  refusals: number;
  /** Buffers that the device may still make before it is asked for `failures` that it has no memory for. */
  creations: number;
  failures: number;
}

const PLENTY = {
  largest: Infinity,
  spared: null,
  capacity: Infinity,
  grants: Infinity,
  refusals: 1,
  creations: Infinity,
  failures: 1,
};

/** Gives the device all the memory there is. */
export const makePlenty = (scarce: ScarceGpu): void => void Object.assign(scarce, PLENTY);

/** From now on no micro-batch's buffer may be larger; gradients, which a step takes too, may. */
export function limitBuffers(scarce: ScarceGpu, largest: number, optimizer: AdamW): void {
  const [gradient] = optimizer.gradients.values();
  Object.assign(scarce, { largest, spared: gradient!.allocation.owner });
  optimizer.dropGradients();
}

/** A device of its own, with plenty of memory at first. */
export async function scarceGpu(): Promise<ScarceGpu> {
  const gpu = await openGpu();
  const scarce: ScarceGpu = { gpu, ...PLENTY };
  const { pool, device } = gpu;
  const acquire = pool.acquire.bind(pool);
  pool.acquire = (owner, bytes, options) => {
    const refused = scarce.grants <= 0 && scarce.refusals-- > 0;
    scarce.grants--;
    const fits =
      (bytes <= scarce.largest || owner === scarce.spared) && pool.usedBytes + sizeClass(bytes) <= scarce.capacity;
    if (!refused && fits) return acquire(owner, bytes, options);
    const most = refused ? 0 : Math.min(scarce.largest, scarce.capacity - pool.usedBytes);
    throw new OutOfMemoryError(`expected a buffer of at most ${most} bytes, got ${bytes}`);
  };
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const fails = scarce.creations <= 0 && scarce.failures-- > 0;
    scarce.creations--;
    return createBuffer(fails ? { ...descriptor, size: device.limits.maxBufferSize } : descriptor);
  };
  return scarce;
}

/** Whether the device has no memory for its largest buffer, as software adapters do not. */
export async function lacksMemory({ device }: DeviceGpu): Promise<boolean> {
  device.pushErrorScope("out-of-memory");
  device.createBuffer({ size: device.limits.maxBufferSize, usage: GPUBufferUsage.STORAGE }).destroy();
  return (await device.popErrorScope()) !== null;
}

/** How an allocation fails: refused by the pool at once, or made by a device that says later that it has no memory for it. */
export type Failure = "refused" | "not there";

/** One job on a device, whose allocations can be made to fail. */
export interface FailingJob {
  gpu: Scope;
  /** Its allocations still to succeed before one fails, in this way; Infinity for none to fail. */
  left: number;
  failure: Failure;
}

export function failingJob(device: DeviceGpu): FailingJob {
  const owners = new Set<object>();
  const follow = (scope: Scope): Scope => {
    owners.add(scope);
    const open = scope.scope.bind(scope);
    return Object.assign(scope, { scope: () => follow(open()) });
  };
  const job: FailingJob = { gpu: follow(device.scope()), left: Infinity, failure: "refused" };
  const { pool } = device;
  const acquire = pool.acquire.bind(pool);
  const createBuffer = device.device.createBuffer.bind(device.device);
  pool.acquire = (owner, bytes, options) => {
    if (!owners.has(owner) || job.left-- !== 0) return acquire(owner, bytes, options);
    if (job.failure === "refused") throw new OutOfMemoryError(`expected a buffer of 0 bytes, got ${bytes}`);
    device.device.createBuffer = (descriptor) => createBuffer({ ...descriptor, size: device.limits.maxBufferSize });
    // A size that no idle buffer has, so that one is made.
    const allocation = acquire(owner, pool.allocatedBytes + bytes, options);
    device.device.createBuffer = createBuffer;
    return allocation;
  };
  return job;
}

/** Keeps a warning. A device that fails from some buffer on has memory again when a trainer goes on with less. */
export function heard(scarce: ScarceGpu, warnings: string[], message: string): void {
  warnings.push(message);
  if (scarce.failures === Infinity) makePlenty(scarce);
}
