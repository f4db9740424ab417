import { appendFile, mkdir, open, readdir, readFile, rename, rm, stat, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import process from "node:process";
import { FormatError, PithError } from "../errors.ts";
import type { Files } from "./types.ts";

const REASONS: Record<string, string> = {
  ENOENT: "no such file or folder",
  ENOSPC: "no space left on the disk: free some and run again",
  EACCES: "permission denied: choose another path, or ask for access to this one",
  EROFS: "the disk is read-only: choose a folder on another",
  EISDIR: "is a folder, expected a file",
  ENOTDIR: "is a file, expected a folder",
};

/** What a failed operation on a file means for people. */
export const reasonOf = (error: unknown): string =>
  REASONS[(error as NodeJS.ErrnoException).code ?? ""] ?? (error as Error).message;

async function named<T>(path: string, action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PithError) throw error;
    throw new PithError(`cannot ${action} ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** Bytes asked of the system at once: Node ends the process at 2 GiB. */
const MOST_AT_ONCE = 2 ** 30;

async function readBytes(path: string, start: number, end: number): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const bytes = new Uint8Array(end - start);
    for (let done = 0; done < bytes.length;) {
      const { bytesRead } = await file.read(bytes, done, Math.min(bytes.length - done, MOST_AT_ONCE), start + done);
      if (bytesRead === 0) {
        throw new FormatError(
          `${path}: expected bytes ${start} to ${end}, got ${start + done} in all; the file is cut short`,
        );
      }
      done += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/** Without the byte order mark that Windows tools put before UTF-8. */
const withoutMark = (text: string): string => (text.startsWith("\ufeff") ? text.slice(1) : text);

/** What a folder lists is on the disk. Windows has no such call. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** A folder and those that it lies in. Of a disk that is read-only Node says that there is no such folder: then the first one is made alone. */
async function makeFolders(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    let first = path;
    while (!(await nodeFiles.exists(dirname(first)))) first = dirname(first);
    await mkdir(first);
    await mkdir(path, { recursive: true });
  }
}

/** Files through node:fs, for Node and Deno. */
export const nodeFiles: Files = {
  read: (path) => named(path, "read", async () => readBytes(path, 0, (await stat(path)).size)),

  readText: (path) => named(path, "read", async () => withoutMark(await readFile(path, "utf8"))),

  readRange: (path, start, end) => named(path, "read", () => readBytes(path, start, end)),

  size: (path) => named(path, "read", async () => (await stat(path)).size),

  exists: (path) =>
    stat(path).then(
      () => true,
      () => false,
    ),

  list: (path) => named(path, "list", async () => (await readdir(path)).sort()),

  write: (path, data) =>
    named(path, "write", async () => {
      const file = await open(path, "w");
      try {
        if (typeof data === "string" || data instanceof Uint8Array) await file.writeFile(data);
        else for await (const chunk of data) await file.writeFile(chunk);
        await file.sync();
      } finally {
        await file.close();
      }
      await syncFolder(dirname(path));
    }),

  append: (path, text) => named(path, "append to", () => appendFile(path, text)),
  sync: (path) =>
    named(path, "sync", async () => {
      const file = await open(path, "r+");
      try {
        await file.sync();
      } finally {
        await file.close();
      }
      await syncFolder(dirname(path));
    }),
  truncate: (path, size) => named(path, "truncate", () => truncate(path, size)),
  mkdir: (path) =>
    named(path, "make", async () => {
      await makeFolders(path);
      await syncFolder(dirname(path));
    }),
  rename: (from, to) =>
    named(to, "rename to", async () => {
      await rename(from, to);
      await syncFolder(dirname(to));
    }),
  remove: (path) => named(path, "remove", () => rm(path, { recursive: true, force: true })),
};
