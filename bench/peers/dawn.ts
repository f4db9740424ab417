/** WebGPU for libraries that expect a browser: Dawn as Pith opens it, behind `navigator.gpu`. */
import process from "node:process";
import { create, globals } from "webgpu";

const adapter = process.env["PITH_ADAPTER"];

export const gpu = create([
  "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
  "disable-dawn-features=lazy_clear_resource_on_first_use,timestamp_quantization",
  ...(adapter ? [`adapter=${adapter}`] : []),
]);

Object.assign(globalThis, globals);
Object.defineProperty(globalThis.navigator, "gpu", { value: gpu, configurable: true });
