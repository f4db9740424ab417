import { mkdirSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { equalGpus, pciGpus, selectGpu } from "../../src/runtime/pci.ts";
import { temporaryFolder } from "../hf/temporary.ts";

const root = temporaryFolder();

/** A folder of devices as Linux lists them: [address, class, vendor, device]. */
function machine(name: string, devices: readonly (readonly [string, string, string, string])[]): string {
  for (const [address, ...about] of devices) {
    const dir = `${root}/${name}/${address}`;
    mkdirSync(dir, { recursive: true });
    ["class", "vendor", "device"].forEach((file, i) => writeFileSync(`${dir}/${file}`, `${about[i]}\n`));
  }
  return `${root}/${name}`;
}

test("a machine's equal GPUs, without the console's display, a sound card or the processor's own", async () => {
  const sysfs = machine("server", [
    ["0000:02:00.0", "0x030000", "0x1a03", "0x2000"],
    ["0000:00:02.0", "0x030000", "0x8086", "0x4680"],
    ["0000:c1:00.0", "0x030200", "0x10de", "0x2330"],
    ["0000:0f:00.0", "0x030200", "0x10de", "0x2330"],
    ["0000:0f:00.1", "0x040300", "0x10de", "0x22ba"],
  ]);
  expect(await equalGpus(sysfs)).toEqual(["0000:0f:00.0", "0000:c1:00.0"]);
  expect(await pciGpus(sysfs)).toEqual(["0000:00:02.0", "0000:0f:00.0", "0000:c1:00.0"]);
});

test("none where the system lists none", async () => {
  expect(await equalGpus(`${root}/nowhere`)).toEqual([]);
  expect(await equalGpus(machine("virtual", [["0000:00:01.0", "0x020000", "0x1af4", "0x1041"]]))).toEqual([]);
});

test("one of them is chosen below WebGPU, by its address", () => {
  expect(selectGpu("0000:65:00.0")).toBe("pci-0000_65_00_0!");
  for (const address of ["", "65:00.0", "0000:65:00", "3", "0000:65:00.0!"])
    expect(() => selectGpu(address)).toThrow(/--gpu: expected all or a PCI address such as 0000:65:00.0, got/);
});
