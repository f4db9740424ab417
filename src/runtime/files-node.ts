import { open, mkdir, readdir, readFile, rename, rm, stat, truncate, appendFile } from "node:fs/promises";
import { FormatError, PithError } from "../errors.ts";
import type { Files } from "./types.ts";

const REASONS: Record<string, string> = {
  ENOENT: "no such file or folder",
  ENOSPC: "no space left on the disk: free some and run again",
  EACCES: "permission denied",
  EISDIR: "is a folder, expected a file",
  ENOTDIR: "is a file, expected a folder",
};

async function named<T>(path: string, action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PithError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? "";
    throw new PithError(`cannot ${action} ${path}: ${REASONS[code] ?? (error as Error).message}`, { cause: error });
  }
}

/** Files through node:fs, for Node and Deno. */
export const nodeFiles: Files = {
  read: (path) => named(path, "read", async () => new Uint8Array(await readFile(path))),

  readText: (path) => named(path, "read", () => readFile(path, "utf8")),

  readRange: (path, start, end) =>
    named(path, "read", async () => {
      const file = await open(path, "r");
      try {
        const bytes = new Uint8Array(end - start);
        for (let done = 0; done < bytes.length;) {
          const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
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
    }),

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
    }),

  append: (path, text) => named(path, "append to", () => appendFile(path, text)),
  truncate: (path, size) => named(path, "truncate", () => truncate(path, size)),
  mkdir: (path) => named(path, "make", async () => void (await mkdir(path, { recursive: true }))),
  rename: (from, to) => named(to, "rename to", () => rename(from, to)),
  remove: (path) => named(path, "remove", () => rm(path, { recursive: true, force: true })),
};
