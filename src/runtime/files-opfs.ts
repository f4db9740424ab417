import { FormatError, PithError } from "../errors.ts";
import type { Files } from "./types.ts";

/** The part of the private file system that TypeScript's DOM library leaves out: it is for workers, and younger. */
interface SyncAccessHandle {
  write(buffer: AllowSharedBufferSource, options?: { at?: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}
interface FileHandle extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<SyncAccessHandle>;
  /** Replaces a file of that name. */
  move(folder: FileSystemDirectoryHandle, name: string): Promise<void>;
}

export type Data = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** The browser's storage for this site is full. */
export class QuotaError extends PithError {}

const REASONS: Record<string, string> = {
  NotFoundError: "no such file or folder",
  TypeMismatchError: "a file where a folder was expected, or a folder where a file was",
  QuotaExceededError: "the browser's storage for this site is full: delete runs, or free space on the disk",
  NoModificationAllowedError: "another tab is writing it: close the other tab",
};

/** What fails below is said in words, with the path. */
export async function named<T>(path: string, action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PithError) throw error;
    const { name, message } = error as Error;
    const Kind = name === "QuotaExceededError" ? QuotaError : PithError;
    throw new Kind(`cannot ${action} ${path}: ${REASONS[name] ?? message}`, { cause: error });
  }
}

export const partsOf = (path: string): string[] => path.split("/").filter((part) => part !== "" && part !== ".");

export async function* chunksOf(data: Data): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (typeof data === "string") yield new TextEncoder().encode(data);
  else if (data instanceof Uint8Array) yield data as Uint8Array<ArrayBuffer>;
  else yield* data as Iterable<Uint8Array<ArrayBuffer>>;
}

export async function readSlice(blob: Blob, path: string, start: number, end: number): Promise<Uint8Array> {
  if (end > blob.size)
    throw new FormatError(`${path}: expected bytes ${start} to ${end}, got ${blob.size} in all; the file is cut short`);
  return new Uint8Array(await blob.slice(start, end).arrayBuffer());
}

/** Where a rename that is under way is noted down. */
const JOURNAL = ".renaming.json";

/**
 * Files over the origin's private file system. Writing replaces a file as a whole, at its end: a tab that is closed and a disk that
 * is full leave what was there (an empty file, where there was none). A folder cannot be renamed in one step, so a rename is noted down first and finished by the next
 * `open` if this one is cut off: no reader sees it half done. One writer at a time. Appending and truncating need a worker.
 */
export class OpfsFiles implements Files {
  readonly #root: FileSystemDirectoryHandle;

  constructor(root: FileSystemDirectoryHandle) {
    this.#root = root;
  }

  /** The folder `name` of the origin's file system; null where the browser keeps nothing for this page. */
  static async open(name: string): Promise<OpfsFiles | null> {
    let root: FileSystemDirectoryHandle;
    try {
      root = await (await navigator.storage.getDirectory()).getDirectoryHandle(name, { create: true });
    } catch {
      return null; // private windows and blocked site data: the caller says that nothing will be kept
    }
    const files = new OpfsFiles(root);
    await files.#finishRename();
    return files;
  }

  read = (path: string): Promise<Uint8Array> =>
    named(path, "read", async () => new Uint8Array(await (await this.blob(path)).arrayBuffer()));

  readText = (path: string): Promise<string> => named(path, "read", async () => (await this.blob(path)).text());

  readRange = (path: string, start: number, end: number): Promise<Uint8Array> =>
    named(path, "read", async () => readSlice(await this.blob(path), path, start, end));

  size = (path: string): Promise<number> => named(path, "read", async () => (await this.blob(path)).size);

  async exists(path: string): Promise<boolean> {
    return (await this.#find(path)) !== null;
  }

  list = (path: string): Promise<string[]> =>
    named(path, "list", async () => (await Array.fromAsync((await this.#folder(path)).keys())).sort());

  write = (path: string, data: Data): Promise<void> =>
    named(path, "write", async () => {
      const isNew = !(await this.exists(path));
      // It writes a file beside it, which takes its place at close.
      const writable = await (await this.#file(path, true)).createWritable();
      try {
        for await (const chunk of chunksOf(data)) await writable.write(chunk);
        await writable.close();
      } catch (error) {
        await writable.abort().catch(() => {}); // what failed is thrown below
        if (isNew) await this.remove(path).catch(() => {});
        throw error;
      }
    });

  append = (path: string, text: string): Promise<void> =>
    named(path, "append to", () =>
      this.#access(path, (file) => {
        const size = file.getSize();
        const bytes = new TextEncoder().encode(text);
        try {
          if (file.write(bytes, { at: size }) < bytes.length)
            throw new DOMException("not all bytes were written", "QuotaExceededError");
        } catch (error) {
          file.truncate(size);
          throw error;
        }
      }),
    );

  /** The browser keeps what it was given. */
  sync = async (): Promise<void> => {};

  truncate = (path: string, size: number): Promise<void> =>
    named(path, "truncate", () => this.#access(path, (file) => file.truncate(size)));

  mkdir = (path: string): Promise<void> => named(path, "make", async () => void (await this.#folder(path, true)));

  rename = (from: string, to: string): Promise<void> =>
    named(to, "rename to", async () => {
      await this.write(JOURNAL, JSON.stringify({ from, to }));
      await this.#finishRename();
    });

  remove = (path: string): Promise<void> =>
    named(path, "remove", async () => {
      const parts = partsOf(path);
      const parent = await this.#find(parts.slice(0, -1).join("/"));
      if (parent?.kind !== "directory" || !(await this.exists(path))) return;
      await (parent as FileSystemDirectoryHandle).removeEntry(parts.at(-1)!, { recursive: true });
    });

  /** The file itself, without reading it: what a download is made of. */
  async blob(path: string): Promise<File> {
    return (await this.#file(path)).getFile();
  }

  async #access(path: string, work: (file: SyncAccessHandle) => void): Promise<void> {
    const file = await (await this.#file(path, true)).createSyncAccessHandle();
    try {
      work(file);
      file.flush();
    } finally {
      file.close();
    }
  }

  async #file(path: string, create = false): Promise<FileHandle> {
    const parts = partsOf(path);
    const folder = await this.#folder(parts.slice(0, -1).join("/"), create);
    return (await folder.getFileHandle(parts.at(-1)!, { create })) as FileHandle;
  }

  async #folder(path: string, create = false): Promise<FileSystemDirectoryHandle> {
    let folder = this.#root;
    for (const part of partsOf(path)) folder = await folder.getDirectoryHandle(part, { create });
    return folder;
  }

  async #find(path: string): Promise<FileSystemHandle | null> {
    let handle: FileSystemHandle = this.#root;
    for (const part of partsOf(path)) {
      if (handle.kind !== "directory") return null;
      const folder = handle as FileSystemDirectoryHandle;
      const found: FileSystemHandle | null =
        (await missing(folder.getFileHandle(part))) ?? (await missing(folder.getDirectoryHandle(part)));
      if (!found) return null;
      handle = found;
    }
    return handle;
  }

  /** Does what the journal says, from wherever it was cut off. */
  async #finishRename(): Promise<void> {
    if (!(await this.exists(JOURNAL))) return;
    let move: { from: string; to: string } | null = null;
    try {
      move = JSON.parse(await this.readText(JOURNAL)) as { from: string; to: string };
    } catch {
      // empty: it was cut off before it was written, and nothing was moved yet
    }
    if (move && (await this.exists(move.from))) {
      await this.#move(move.from, move.to);
      await this.remove(move.from);
    }
    await this.remove(JOURNAL);
  }

  async #move(from: string, to: string): Promise<void> {
    const found = (await this.#find(from))!;
    if (found.kind === "file") {
      const parts = partsOf(to);
      const folder = await this.#folder(parts.slice(0, -1).join("/"), true);
      return (found as FileHandle).move(folder, parts.at(-1)!);
    }
    await this.mkdir(to);
    for (const name of await this.list(from)) await this.#move(`${from}/${name}`, `${to}/${name}`);
  }
}

async function missing<T>(handle: Promise<T>): Promise<T | null> {
  try {
    return await handle;
  } catch (error) {
    if (["NotFoundError", "TypeMismatchError"].includes((error as Error).name)) return null;
    throw error;
  }
}
