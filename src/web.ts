/** The browser's part of the public API: its own WebGPU. Nothing that this or the main entry imports is Node's. */
export { openGpu } from "./runtime/web.ts";
