import type { Gpu } from "../../src/gpu/gpu.ts";
import { Pool } from "../../src/gpu/pool.ts";
import { openGpu } from "./host.ts";

/** A device on which memory runs out where the test says. */
export interface ScarceGpu {
  gpu: Gpu;
  /** Bytes that a buffer may have. */
  largest: number;
  /** Buffers that the pool may still hand out before it refuses one; that one only. */
  grants: number;
  /** Buffers that the device may still make before it is asked for one that it has no memory for; that one only. */
  creations: number;
}

/** A device of its own, whose pool has limits that can be changed; Infinity at first. */
export async function scarceGpu(): Promise<ScarceGpu> {
  const gpu = await openGpu();
  const scarce: ScarceGpu = { gpu, largest: Infinity, grants: Infinity, creations: Infinity };
  const limits = {
    get maxBufferSize() {
      return scarce.grants-- === 0 ? 0 : scarce.largest;
    },
  };
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const pool = new Pool(limits, (size) =>
    gpu.device.createBuffer({ size: scarce.creations-- === 0 ? gpu.limits.maxBufferSize : size, usage }),
  );
  return Object.assign(scarce, { gpu: Object.assign(gpu, { pool }) });
}

/** Whether the device has no memory for its largest buffer, as software adapters do not. */
export async function lacksMemory({ device }: Gpu): Promise<boolean> {
  device.pushErrorScope("out-of-memory");
  device.createBuffer({ size: device.limits.maxBufferSize, usage: GPUBufferUsage.STORAGE }).destroy();
  return (await device.popErrorScope()) !== null;
}
