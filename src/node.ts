/** Node's part of the public API: Dawn through the webgpu package, and files on the disk. */
export { nodeFiles } from "./runtime/files-node.ts";
export { openGpu } from "./runtime/node.ts";
