import process from "node:process";
import { create, globals } from "webgpu";
import { GpuUnavailableError } from "../errors.ts";
import { DeviceGpu } from "../gpu/device-gpu.ts";
import { selectGpu } from "./pci.ts";
import { diskTuning } from "./tuning-disk.ts";
import { loadTuning } from "./tuning.ts";

Object.assign(globalThis, globals);

/**
 * Dawn's toggles. Tensors are cleared where zeros are needed, so Dawn need not clear each buffer at its first use
 * (slow for large ones); timestamps are only for measuring. Subgroup matrices are an experimental feature, which Dawn calls
 * unsafe, and on NVIDIA shader-f16 must be asked for.
 */
const FLAGS = [
  "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
  "disable-dawn-features=lazy_clear_resource_on_first_use,timestamp_quantization",
];

/** Dawn instances in use: one that is garbage collected takes the process down with it. */
const instances: GPU[] = [];

/**
 * Opens the adapter whose name contains `name`, the first one without; the GPU at the address `pci` where that is given. `note` hears of a
 * table of tiles that cannot be used.
 */
export async function openGpu(
  name?: string,
  tier?: string,
  note: (line: string) => void = () => {},
  pci?: string,
): Promise<DeviceGpu> {
  const selected = process.env["DRI_PRIME"];
  let adapter: GPUAdapter | null;
  try {
    if (pci) process.env["DRI_PRIME"] = selectGpu(pci); // an instance reads the environment when it is made
    const instance = create(name ? [...FLAGS, `adapter=${name}`] : FLAGS);
    instances.push(instance);
    adapter = await instance.requestAdapter({ powerPreference: "high-performance" });
  } catch (error) {
    // Dawn throws, with the list of adapters, where a browser returns null.
    throw new GpuUnavailableError(
      `expected an adapter${name ? ` whose name contains "${name}"` : ""}: ${(error as Error).message.replaceAll(/\s+/g, " ")}`,
      { cause: error },
    );
  } finally {
    if (selected === undefined) delete process.env["DRI_PRIME"];
    else process.env["DRI_PRIME"] = selected;
  }
  const gpu = await DeviceGpu.open(adapter, { tier, rest: napping });
  await loadTuning(gpu, diskTuning, note);
  return gpu;
}

const LONGEST_NAP_MS = 0.25;
const napCell = new Int32Array(new SharedArrayBuffer(4));

/**
 * Dawn's binding asks the device for news at every turn of the event loop. Unchecked that takes a whole core, which a software
 * adapter would rather have. The thread sleeps a little at each turn: an eighth of the time waited so far, so that short waits
 * stay short.
 */
async function napping<T>(work: Promise<T>): Promise<T> {
  const start = performance.now();
  let settled = false;
  const nap = () => {
    if (settled) return;
    Atomics.wait(napCell, 0, 0, Math.min(LONGEST_NAP_MS, (performance.now() - start) / 8));
    setImmediate(nap);
  };
  setImmediate(nap);
  try {
    return await work;
  } finally {
    settled = true;
  }
}
