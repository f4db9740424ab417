/** Deno's part of the public API: its own WebGPU, and files on the disk. */
export { nodeFiles as denoFiles } from "./runtime/files-node.ts";
export { openGpu } from "./runtime/web.ts";
