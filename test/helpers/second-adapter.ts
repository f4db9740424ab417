import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import type { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import { openGpu } from "./host.ts";

/** Where the loader finds manifests where VK_DRIVER_FILES names none. */
const MANIFESTS = "/usr/share/vulkan/icd.d";

/**
 * Two adapters of one kind, as a machine with two equal GPUs has them: two manifests name Mesa's software driver, and each Dawn sees one
 * of them alone. Null where there is no such driver, or the host has read its environment before.
 */
export async function twoAdapters(): Promise<[DeviceGpu, DeviceGpu] | null> {
  const before = process.env["VK_DRIVER_FILES"];
  const paths = before?.split(":") ?? listed(MANIFESTS);
  const found = "Deno" in globalThis ? undefined : paths.find((path) => basename(path).startsWith("lvp_icd"));
  if (found === undefined) return null;
  const manifest = readFileSync(found);
  const dir = mkdtempSync(join(tmpdir(), "pith-icd-"));
  const open = (name: string) => {
    process.env["VK_DRIVER_FILES"] = join(dir, name);
    writeFileSync(join(dir, name), manifest);
    return openGpu(); // an instance reads the environment when it is made
  };
  try {
    return [await open("first.json"), await open("second.json")];
  } finally {
    if (before === undefined) delete process.env["VK_DRIVER_FILES"];
    else process.env["VK_DRIVER_FILES"] = before;
    rmSync(dir, { recursive: true });
  }
}

function listed(dir: string): string[] {
  try {
    return readdirSync(dir).map((name) => join(dir, name));
  } catch {
    return [];
  }
}
