import { create, globals } from "webgpu";
import { GpuUnavailableError } from "../errors.ts";
import { Gpu } from "../gpu/gpu.ts";

Object.assign(globalThis, globals);

/**
 * Dawn's toggles. Tensors are cleared where zeros are needed, so Dawn need not clear each buffer at its first use
 * (slow for large ones); timestamps are only for measuring.
 */
const FLAGS = ["disable-dawn-features=lazy_clear_resource_on_first_use,timestamp_quantization"];

/** Dawn instances in use: one that is garbage collected takes the process down with it. */
const instances: GPU[] = [];

/** Opens the adapter whose name contains `name`, the first one without. */
export async function openGpu(name?: string, tier?: string): Promise<Gpu> {
  const instance = create(name ? [...FLAGS, `adapter=${name}`] : FLAGS);
  instances.push(instance);
  let adapter: GPUAdapter | null;
  try {
    adapter = await instance.requestAdapter({ powerPreference: "high-performance" });
  } catch (error) {
    // Dawn throws, with the list of adapters, where a browser returns null.
    throw new GpuUnavailableError(
      `expected an adapter${name ? ` whose name contains "${name}"` : ""}: ${(error as Error).message.replaceAll(/\s+/g, " ")}`,
      { cause: error },
    );
  }
  return Gpu.open(adapter, tier);
}
