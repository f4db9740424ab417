import { readdirSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname } from "node:path";
import process from "node:process";
import { nodeFiles } from "./files-node.ts";

/**
 * Where this process alone writes what is to become `path`, when others may be at the same at once; it is renamed or linked when it is
 * whole. What processes of this machine that are no more left in the folder under such names is removed: nobody else would.
 */
export function asideOf(path: string): string {
  const dir = dirname(path);
  for (const name of namesIn(dir)) {
    const [, host, pid] = /\.unfinished-(.+)-(\d+)$/.exec(name) ?? [];
    if (host === hostname() && !isRunning(Number(pid))) rmSync(`${dir}/${name}`, { recursive: true, force: true });
  }
  return `${dir}/${basename(path)}.unfinished-${hostname()}-${process.pid}`;
}

/** Writes a file that others may be writing too: whoever reads it finds one of them whole. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const aside = asideOf(path);
  await nodeFiles.write(aside, text);
  await nodeFiles.rename(aside, path);
}

/** Whether there is a process of that number. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // there, but another user's
  }
}

/** None where the folder is not there or cannot be read: what is written there next says why. */
function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
