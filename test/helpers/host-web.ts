/// <reference types="vite/client" />
import { BlobFiles } from "../../web/storage/blob-files.ts";

/** A tab: its paths are those of the server that the tests come from, which is at the root of the checkout. */
export { openGpu } from "../../src/runtime/web.ts";

const paths = Object.keys(import.meta.glob(["/test/fixtures/transformers/**", "/test/fixtures/lora/**", "/models/**"]));

export const files = new BlobFiles(
  await Promise.all(paths.map(async (path) => [path, await (await fetch(path)).blob()] as const)),
);

/** In memory, which each test file has for itself. */
export const temporaryFolder = (): string => "/temporary";
