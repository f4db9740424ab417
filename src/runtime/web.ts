import { GpuUnavailableError } from "../errors.ts";
import { DeviceGpu } from "../gpu/device-gpu.ts";
import { opfsTuning } from "./tuning-opfs.ts";
import { loadTuning } from "./tuning.ts";

/**
 * Opens the adapter that a browser or Deno chooses; `name`, if given, must be part of its name. `note` hears of a table of tiles
 * that cannot be used.
 */
export async function openGpu(
  name?: string,
  tier?: string,
  note: (line: string) => void = () => {},
  pci?: string,
): Promise<DeviceGpu> {
  if (pci) throw new GpuUnavailableError(`expected Node to choose the GPU at ${pci}, got a host that cannot`);
  if (!navigator.gpu) {
    throw new GpuUnavailableError(
      "expected WebGPU (navigator.gpu), got none; use Deno 2.9 or newer, or a browser that has it, over https or localhost",
    );
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter && name && !`${adapter.info.description} ${adapter.info.device} ${adapter.info.vendor}`.includes(name)) {
    throw new GpuUnavailableError(
      `expected an adapter whose name contains "${name}", got ${adapter.info.description || adapter.info.vendor}`,
    );
  }
  const gpu = await DeviceGpu.open(adapter, { tier });
  await loadTuning(gpu, opfsTuning, note);
  return gpu;
}
