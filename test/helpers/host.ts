import type { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import type { Files } from "../../src/runtime/types.ts";

/** What differs between the hosts that a test may run on. */
interface Host {
  openGpu(name?: string, tier?: string): Promise<DeviceGpu>;
  /** The checkout's files; in a tab copies of those under test/fixtures and models. */
  files: Files;
  /** A folder of the test file's own. */
  temporaryFolder(): string;
}

export const { openGpu, files, temporaryFolder }: Host =
  "document" in globalThis ? await import("./host-web.ts") : await import("./host-node.ts");
