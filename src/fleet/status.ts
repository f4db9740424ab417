import { readStatus, type WorkerStatus } from "./announcement.ts";
import { keysOf, type Fleet } from "./connection.ts";

/** Where a worker's status lies: under its run, or under nothing's where it has none. */
export const statusKey = (run: string | null, worker: string): string => `${run ?? "none"}.${worker}`;

const GATE = "gate-";

/** A worker's name, or a gate's: of this machine and process. */
export const nameOf = (what: "worker" | "gate", host: string, pid: number): string =>
  `${what === "gate" ? GATE : ""}${host.replaceAll(/\W/g, "-").slice(0, 32)}-${pid}`;

export const isGate = (name: string): boolean => name.startsWith(GATE);

/** The workers of a run, or of all, by run and name. */
export async function listWorkers(
  fleet: Pick<Fleet, "jsm" | "workers">,
  run = "*",
): Promise<({ id: string } & WorkerStatus)[]> {
  const found: ({ id: string } & WorkerStatus)[] = [];
  for (const key of (await keysOf(fleet, "workers", statusKey(run, "*"))).sort()) {
    const status = readStatus(await fleet.workers.get(key));
    if (status) found.push({ id: key.split(".").at(-1)!, ...status });
  }
  return found;
}
