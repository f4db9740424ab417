import process from "node:process";
import type { DeviceGpu } from "../gpu/device-gpu.ts";

/**
 * Opens an adapter on a command line's host: with Deno's own WebGPU there, with Dawn in Node. `name` (default: PITH_ADAPTER)
 * must be part of its name; `tier` (default: PITH_TIER) chooses other kernels than the best that it can run (gpu/tier.ts). `pci`: of several
 * equal ones, the GPU at this address.
 */
export async function openGpu(
  name = process.env["PITH_ADAPTER"],
  tier = process.env["PITH_TIER"],
  note?: (line: string) => void,
  pci?: string,
): Promise<DeviceGpu> {
  // Imported here: Node's module loads a native driver, which Deno has no use for.
  const host = "Deno" in globalThis ? await import("./web.ts") : await import("./node.ts");
  return host.openGpu(name, tier, note, pci);
}
