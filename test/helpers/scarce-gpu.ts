import { OutOfMemoryError } from "../../src/errors.ts";
import type { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import { openGpu } from "./host.ts";

/** A device on which memory runs out where the test says. */
export interface ScarceGpu {
  gpu: DeviceGpu;
  /** Bytes that a buffer may have. */
  largest: number;
  /** Buffers that the pool may still hand out before it refuses `refusals` of them, one after the other. */
  grants: number;
  refusals: number;
  /** Buffers that the device may still make before it is asked for `failures` that it has no memory for. */
  creations: number;
  failures: number;
}

const PLENTY = { largest: Infinity, grants: Infinity, refusals: 1, creations: Infinity, failures: 1 };

/** Gives the device all the memory there is. */
export const makePlenty = (scarce: ScarceGpu): void => void Object.assign(scarce, PLENTY);

/** A device of its own, with plenty of memory at first. */
export async function scarceGpu(): Promise<ScarceGpu> {
  const gpu = await openGpu();
  const scarce: ScarceGpu = { gpu, ...PLENTY };
  const { pool, device } = gpu;
  const acquire = pool.acquire.bind(pool);
  pool.acquire = (owner, bytes, options) => {
    const refused = scarce.grants <= 0 && scarce.refusals-- > 0;
    scarce.grants--;
    if (!refused && bytes <= scarce.largest) return acquire(owner, bytes, options);
    throw new OutOfMemoryError(`expected a buffer of at most ${refused ? 0 : scarce.largest} bytes, got ${bytes}`);
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
