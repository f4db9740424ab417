import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import process from "node:process";
import { ConfigError, UsageError } from "../errors.ts";
import { INTERRUPTED, interruptSignal, note } from "./host.ts";

/** As Linux names a device: domain, bus, device and function. */
const ADDRESS = /^([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/;
/** Display controllers, and what has no display. */
const DISPLAY_CLASS = /^0x03/;

/**
 * The PCI addresses of the machine's GPUs, in the bus's order.
 *
 * @throws ConfigError where there are none, or this is not Linux
 */
export async function pciGpus(devices = "/sys/bus/pci/devices"): Promise<string[]> {
  const found: string[] = [];
  for (const address of (await readdir(devices).catch((): string[] => [])).sort()) {
    const kind = await readFile(`${devices}/${address}/class`, "utf8").catch(() => "");
    if (ADDRESS.test(address) && DISPLAY_CLASS.test(kind)) found.push(address);
  }
  if (found.length > 0) return found;
  throw new ConfigError(
    `--gpu all: expected GPUs in ${devices}, as Linux lists them, got none; start pith worker without it`,
  );
}

/** Has Mesa's device-select layer, which is above every vendor's Vulkan driver, hide all GPUs but one. */
export function gpuEnvironment(address: string): { DRI_PRIME: string } {
  const [, domain, bus, device, fn] = ADDRESS.exec(address) ?? [];
  if (domain === undefined)
    throw new UsageError(`--gpu: expected all or a PCI address such as 0000:65:00.0, got ${address}`);
  return { DRI_PRIME: `pci-${domain}_${bus}_${device}_${fn}!` };
}

/** A worker in a process of its own on each of the GPUs, until all have ended; the first failure's exit code. */
export async function workersOn(gpu: string, fleet: string, run: string | undefined): Promise<number> {
  const addresses = gpu === "all" ? await pciGpus() : [gpu];
  const environments = addresses.map(gpuEnvironment);
  const signal = interruptSignal();
  const args = [...process.execArgv, process.argv[1]!, "worker", ...(run === undefined ? [] : ["--run", run])];
  const codes = environments.map((environment, i) => {
    const env = { ...process.env, ...environment, PITH_FLEET: fleet };
    const child = spawn(process.execPath, args, { env, stdio: "inherit" });
    signal.addEventListener("abort", () => void child.kill("SIGTERM"), { once: true });
    return new Promise<number>((resolve) =>
      child.once("close", (code, killed) => {
        if (!signal.aborted) note(`the worker on ${addresses[i]} ended (${killed ?? `exit code ${code}`})`);
        resolve(code ?? 1);
      }),
    );
  });
  const ended = await Promise.all(codes);
  return ended.find((code) => code !== INTERRUPTED) ?? INTERRUPTED;
}
