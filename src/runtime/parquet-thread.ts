import { Worker } from "node:worker_threads";
import { FormatError } from "../errors.ts";
import type { Row } from "../tasks/rows.ts";

/** MiB of JavaScript values that reading a file may hold. */
const MEMORY_MIB = 4096;

type Reply = { rows: Row[] } | { refused: string };

let idle: Worker | null = null;

/**
 * The rows of a parquet file's bytes, read by a thread of its own: a count within a broken file can say billions, which the reader
 * writes out. Throws FormatError for what is no parquet, takes longer than `seconds`, or more than MEMORY_MIB.
 */
export async function parquetRowsInThread(bytes: Uint8Array, path: string, seconds: number): Promise<Row[]> {
  const own = import.meta.url.slice(import.meta.url.lastIndexOf(".")); // .ts, or .js as built
  const worker =
    idle ??
    new Worker(new URL(`parquet-worker${own}`, import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_MIB },
    });
  idle = null;
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const late = setTimeout(
    () => reject(new FormatError(`${path}: expected to be read within ${seconds} s; a count in it may be broken`)),
    1000 * seconds,
  );
  worker.ref();
  worker.once("message", resolve);
  const failed = (error: Error) =>
    reject(new FormatError(`${path}: cannot be read: ${error.message}`, { cause: error }));
  worker.once("error", failed);
  try {
    worker.postMessage({ bytes, path });
    const reply = await promise;
    worker.off("error", failed);
    worker.unref();
    idle = worker;
    if ("refused" in reply) throw new FormatError(reply.refused);
    return reply.rows;
  } catch (error) {
    if (idle !== worker) await worker.terminate();
    throw error;
  } finally {
    clearTimeout(late);
  }
}
