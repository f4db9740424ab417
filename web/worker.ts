import { expose } from "comlink";
import { selfTest, type KernelResult } from "../src/doctor/self-test.ts";
import { openGpu } from "../src/runtime/web.ts";

/** The engine's side of the page: everything that uses the device runs here, so the page never blocks. */
const engine = {
  async selfTest(onResult: (result: KernelResult) => void): Promise<string> {
    const gpu = await openGpu();
    for await (const result of selfTest(gpu)) onResult(result);
    const { name } = gpu;
    gpu.dispose();
    return name;
  },
};
export type Engine = typeof engine;

expose(engine);
