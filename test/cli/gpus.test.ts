import { mkdirSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { gpuEnvironment, pciGpus } from "../../src/cli/gpus.ts";
import { temporaryFolder } from "../helpers/host.ts";

const folder = temporaryFolder();

test("the GPUs of a machine are found by what the bus says, those without a display too", async () => {
  const devices = {
    "0000:00:1f.3": "0x040300", // sound
    "0000:ca:00.0": "0x030200",
    "0000:17:00.0": "0x030000",
    "0001:65:00.0": "0x030200",
    version: "0x030000",
  };
  for (const [name, kind] of Object.entries(devices)) {
    mkdirSync(`${folder}/${name}`);
    writeFileSync(`${folder}/${name}/class`, `${kind}\n`);
  }
  expect(await pciGpus(folder)).toEqual(["0000:17:00.0", "0000:ca:00.0", "0001:65:00.0"]);
  await expect(pciGpus(`${folder}/none`)).rejects.toThrow(/--gpu all: expected GPUs in .*, got none/);
});

test("one of them is chosen below WebGPU, by its address", () => {
  expect(gpuEnvironment("0000:65:00.0")).toEqual({ DRI_PRIME: "pci-0000_65_00_0!" });
  for (const address of ["", "65:00.0", "0000:65:00", "3", "0000:65:00.0!"])
    expect(() => gpuEnvironment(address)).toThrow(/--gpu: expected all or a PCI address such as 0000:65:00.0, got/);
});
