/** Node and Deno. */
export { nodeFiles as files } from "../../src/runtime/files-node.ts";
export { openGpu } from "../../src/runtime/open-gpu.ts";
export { temporaryFolder } from "../hf/temporary.ts";
