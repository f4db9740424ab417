import { GpuUnavailableError } from "../errors.ts";
import { Gpu } from "../gpu/gpu.ts";

/** Opens the adapter that a browser or Deno chooses; `name`, if given, must be part of its name. */
export async function openGpu(name?: string, tier?: string): Promise<Gpu> {
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
  return Gpu.open(adapter, { tier });
}
