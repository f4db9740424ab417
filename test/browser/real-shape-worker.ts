import { openGpu } from "../../src/runtime/web.ts";
import { fetchReasoner, REASONER } from "../../web/session/reasoner.ts";
import { BlobFiles } from "../../web/storage/blob-files.ts";
import { trainShape } from "./real-shape.ts";

/** Runs in a worker of a real browser. */
async function run(): Promise<unknown> {
  const files = new BlobFiles();
  await fetchReasoner(files);
  return trainShape(await openGpu(), files, REASONER, 2);
}

void run().then(
  (result) => postMessage(result),
  (error: Error) => postMessage({ error: `${error.name}: ${error.message}` }),
);
