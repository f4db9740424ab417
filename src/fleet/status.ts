import { readStatus, type WorkerStatus } from "./announcement.ts";
import type { Fleet } from "./connection.ts";

/** Where a worker's status lies: under its run, or under nothing's where it has none. */
export const statusKey = (run: string | null, worker: string): string => `${run ?? "none"}.${worker}`;

/** The fleet's workers, by run and name. */
export async function allWorkers({ workers }: Pick<Fleet, "workers">): Promise<({ id: string } & WorkerStatus)[]> {
  const found: ({ id: string } & WorkerStatus)[] = [];
  for (const key of (await Array.fromAsync(await workers.keys())).sort()) {
    const status = readStatus(await workers.get(key));
    if (status) found.push({ id: key.split(".").at(-1)!, ...status });
  }
  return found;
}

/** How many work for a run. */
export const countWorkers = async ({ workers }: Pick<Fleet, "workers">, run: string): Promise<number> =>
  (await Array.fromAsync(await workers.keys(statusKey(run, "*")))).length;
