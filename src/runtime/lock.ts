import { existsSync, linkSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";
import { PithError } from "../errors.ts";
import { asideOf, isRunning } from "./aside.ts";
import { reasonOf } from "./files-node.ts";

/** Who holds a folder. A process number alone says little: numbers come again, after a restart most of all. */
interface Holder {
  host: string;
  pid: number;
  /** The machine's start and the process's, where the system tells them. */
  boot: string;
  started: string;
}

/** Milliseconds after which a takeover that did not end is taken for dead. */
const TAKEOVER_MS = 10_000;

const textOf = (path: string): string => (existsSync(path) ? readFileSync(path, "utf8").trim() : "");
const bootId = (): string => textOf("/proc/sys/kernel/random/boot_id");

/** Clock ticks from the machine's start to the process's, which no later process of that number has. */
function startOf(pid: number): string {
  const stat = textOf(`/proc/${pid}/stat`);
  // The name in parentheses may hold anything; the 22nd field is the 20th after it.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

const self = (): Holder => ({ host: hostname(), pid: process.pid, boot: bootId(), started: startOf(process.pid) });

const isAlive = ({ pid, boot, started }: Holder): boolean =>
  boot === bootId() && isRunning(pid) && started === startOf(pid);

function holderOf(path: string): Holder | null {
  try {
    const holder = JSON.parse(readFileSync(path, "utf8")) as Partial<Holder> | null;
    return typeof holder?.pid === "number" ? ({ host: "", boot: "", started: "", ...holder } as Holder) : null;
  } catch {
    return null; // gone meanwhile, or cut short by a power cut: held by nobody
  }
}

const held = new Set<string>();

/**
 * Keeps `dir` to this process until it ends, by a file `lock` in it. The lock of a process that is no more, killed or cut off from
 * power, is taken over.
 *
 * @throws PithError that names the holder, where another process has the folder
 */
export function lockFolder(dir: string): void {
  const path = `${dir}/lock`;
  if (held.has(path)) return;
  const own = asideOf(path);
  try {
    writeFileSync(own, `${JSON.stringify(self())}\n`);
  } catch (error) {
    throw new PithError(`cannot write ${own}: ${reasonOf(error)}`, { cause: error });
  }
  try {
    while (!takes(own, path)) {
      const holder = holderOf(path);
      if (holder && (holder.host !== hostname() || isAlive(holder))) {
        const where = holder.host === hostname() ? "" : ` on ${holder.host}`;
        throw new PithError(
          `${dir} is in use by process ${holder.pid}${where}; wait for its end, or choose another train.output_dir${where && `; if that process is no more, remove ${path}`}`,
        );
      }
      takeOver(path);
    }
  } finally {
    rmSync(own, { force: true });
  }
  held.add(path);
  process.once("exit", () => rmSync(path, { force: true }));
}

/** A link is made at once or not at all. */
function takes(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw new PithError(`cannot make ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** Removes a dead process's lock, one process at a time: a second one would remove the lock of the first. */
function takeOver(path: string): void {
  const turn = `${path}.takeover`;
  try {
    writeFileSync(turn, "", { flag: "wx" });
  } catch {
    const age = existsSync(turn) ? Date.now() - statSync(turn).mtimeMs : 0;
    if (age > TAKEOVER_MS) rmSync(turn, { force: true });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    return;
  }
  try {
    const holder = holderOf(path);
    if (!holder || !isAlive(holder)) rmSync(path, { force: true });
  } finally {
    rmSync(turn, { force: true });
  }
}
