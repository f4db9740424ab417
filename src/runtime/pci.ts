import { readdir, readFile } from "node:fs/promises";

const SYSFS = "/sys/bus/pci/devices";
const DISPLAY_CLASS = "0x03";
/** Makers of what computes. Servers have a display of another's, for their console. */
const VENDORS = new Set(["0x10de", "0x1002", "0x8086"]);

/**
 * PCI addresses of the machine's equal GPUs, in the order of nvidia-smi: the most of one model that there are. None where the system
 * does not list them, or there is only software.
 */
export async function equalGpus(sysfs = SYSFS): Promise<string[]> {
  const addresses = (await readdir(sysfs).catch(() => [])).sort();
  const about = async (address: string, what: string) =>
    (await readFile(`${sysfs}/${address}/${what}`, "utf8").catch(() => "")).trim();
  const models = new Map<string, string[]>();
  for (const address of addresses) {
    const vendor = await about(address, "vendor");
    if (!VENDORS.has(vendor) || !(await about(address, "class")).startsWith(DISPLAY_CLASS)) continue;
    const model = `${vendor}:${await about(address, "device")}`;
    models.set(model, [...(models.get(model) ?? []), address]);
  }
  return Array.from(models.values()).reduce((most, some) => (some.length > most.length ? some : most), []);
}

/** How Mesa's device-select layer, which is above every maker's driver, is told to show one GPU alone: the value of DRI_PRIME. */
export const selectGpu = (address: string): string => `pci-${address.replaceAll(/[:.]/g, "_")}!`;
