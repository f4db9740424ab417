import { readdir, readFile } from "node:fs/promises";
import { UsageError } from "../errors.ts";

const SYSFS = "/sys/bus/pci/devices";
/** As Linux names a device: domain, bus, device and function. */
const ADDRESS = /^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;
/** Display controllers, and what has no display. */
const DISPLAY_CLASS = "0x03";
/** Makers of what computes. Servers have a display of another's, for their console. */
const VENDORS = new Set(["0x10de", "0x1002", "0x8086"]);

/** One of the machine's GPUs: its PCI address, and which model it is. */
interface PciGpu {
  address: string;
  model: string;
}

/** The machine's GPUs in the order of nvidia-smi. None where the system does not list them, or there is only software. */
async function list(sysfs: string): Promise<PciGpu[]> {
  const addresses = (await readdir(sysfs).catch(() => [])).filter((name) => ADDRESS.test(name)).sort();
  const about = async (address: string, what: string) =>
    (await readFile(`${sysfs}/${address}/${what}`, "utf8").catch(() => "")).trim();
  const gpus: PciGpu[] = [];
  for (const address of addresses) {
    const vendor = await about(address, "vendor");
    if (!VENDORS.has(vendor) || !(await about(address, "class")).startsWith(DISPLAY_CLASS)) continue;
    gpus.push({ address, model: `${vendor}:${await about(address, "device")}` });
  }
  return gpus;
}

/** PCI addresses of all the machine's GPUs, in the order of nvidia-smi. */
export const pciGpus = async (sysfs = SYSFS): Promise<string[]> => (await list(sysfs)).map(({ address }) => address);

/** Those of the machine's equal GPUs: the most of one model that there are. */
export async function equalGpus(sysfs = SYSFS): Promise<string[]> {
  const models = Object.values(Object.groupBy(await list(sysfs), ({ model }) => model));
  const most = models.reduce<PciGpu[]>((most, some = []) => (some.length > most.length ? some : most), []);
  return most.map(({ address }) => address);
}

/**
 * How Mesa's device-select layer, which is above every maker's driver, is told to show one GPU alone: the value of DRI_PRIME.
 *
 * @throws UsageError for what is no address
 */
export function selectGpu(address: string): string {
  if (!ADDRESS.test(address))
    throw new UsageError(`--gpu: expected all or a PCI address such as 0000:65:00.0, got ${address}`);
  return `pci-${address.replaceAll(/[:.]/g, "_")}!`;
}
