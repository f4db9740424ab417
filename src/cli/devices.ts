import { ConfigError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { splitGpu } from "../gpu/split-gpu.ts";
import { readModelConfig } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import { equalGpus } from "../runtime/pci.ts";
import { files, note, openGpu } from "./host.ts";

/** The device of a run for the model in `modelDir`, or several as one where device.layers splits the model over them. */
export async function openDevices({ device }: Config, modelDir: string): Promise<Gpu> {
  const { adapter, layers } = device;
  if (!layers) return openGpu(adapter);
  requireAll(layers, (await readModelConfig(files, modelDir)).numLayers);
  const addresses = await equalGpus();
  const count = layers.length;
  if (addresses.length === 0) note(`device.layers: ${count} devices on one adapter, for there is no GPU for each`);
  else if (addresses.length < count)
    throw new ConfigError(
      `device.layers: expected ${count} equal GPUs, got ${addresses.length} (${addresses.join(", ")})`,
    );
  const devices: Gpu[] = [];
  for (let i = 0; i < count; i++) devices.push(await openGpu(adapter, addresses[i]));
  return splitGpu(devices, layers);
}

/** @throws ConfigError where the devices' layers are not all of the model's */
export function requireAll(layers: readonly number[], numLayers: number): void {
  const total = layers.reduce((a, b) => a + b, 0);
  if (total !== numLayers)
    throw new ConfigError(`device.layers: expected the model's ${numLayers} layers in all, got ${total}`);
}
