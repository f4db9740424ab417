import { parentPort } from "node:worker_threads";
import { parquetRows } from "../tasks/parquet.ts";

parentPort!.on("message", async ({ bytes, path }: { bytes: Uint8Array; path: string }) => {
  try {
    parentPort!.postMessage({ rows: await parquetRows(bytes, path) });
  } catch (error) {
    parentPort!.postMessage({ refused: (error as Error).message });
  }
});
