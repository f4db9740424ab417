import { FormatError, PithError } from "../src/errors.ts";
import type { Files } from "../src/runtime/types.ts";

const REASONS: Record<string, string> = {
  NotFoundError: "no such file or folder",
  TypeMismatchError: "a file where a folder was expected, or a folder where a file was",
  QuotaExceededError: "the browser's storage for this site is full: delete runs, or free space on the disk",
  NoModificationAllowedError: "another tab is writing it: close the other tab",
};

async function named<T>(path: string, action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PithError) throw error;
    const { name, message } = error as Error;
    throw new PithError(`cannot ${action} ${path}: ${REASONS[name] ?? message}`, { cause: error });
  }
}

const partsOf = (path: string): string[] => path.split("/").filter((part) => part !== "" && part !== ".");

async function cutShort(path: string, start: number, end: number, size: number): Promise<never> {
  throw new FormatError(`${path}: expected bytes ${start} to ${end}, got ${size} in all; the file is cut short`);
}

/** Where a rename that is under way is noted down. */
const JOURNAL = ".renaming.json";

/**
 * Files over the origin's private file system, for a worker. It cannot rename a folder in one step, so a rename is noted down
 * first and finished by the next `open` if this one is cut off: no reader sees it half done. One writer at a time.
 */
export class OpfsFiles implements Files {
  readonly #root: FileSystemDirectoryHandle;

  private constructor(root: FileSystemDirectoryHandle) {
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

  write = (path: string, data: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> =>
    named(path, "write", () =>
      this.#access(path, async (file) => {
        file.truncate(0);
        let at = 0;
        for await (const chunk of chunksOf(data)) at += file.write(chunk as Uint8Array<ArrayBuffer>, { at });
      }),
    );

  append = (path: string, text: string): Promise<void> =>
    named(path, "append to", () =>
      this.#access(path, (file) => void file.write(new TextEncoder().encode(text), { at: file.getSize() })),
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
    const parts = partsOf(path);
    return (await (await this.#folder(parts.slice(0, -1).join("/"))).getFileHandle(parts.at(-1)!)).getFile();
  }

  async #access(path: string, work: (file: FileSystemSyncAccessHandle) => void | Promise<void>): Promise<void> {
    const parts = partsOf(path);
    const folder = await this.#folder(parts.slice(0, -1).join("/"), true);
    const file = await (await folder.getFileHandle(parts.at(-1)!, { create: true })).createSyncAccessHandle();
    try {
      await work(file);
      file.flush();
    } finally {
      file.close();
    }
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
      // cut off while it was being written: nothing was moved yet
    }
    if (move && (await this.exists(move.from))) {
      await this.#copy(move.from, move.to);
      await this.remove(move.from);
    }
    await this.remove(JOURNAL);
  }

  async #copy(from: string, to: string): Promise<void> {
    if ((await this.#find(from))!.kind === "file") return this.write(to, await this.read(from));
    await this.mkdir(to);
    for (const name of await this.list(from)) await this.#copy(`${from}/${name}`, `${to}/${name}`);
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

async function* chunksOf(
  data: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (typeof data === "string") yield new TextEncoder().encode(data);
  else if (data instanceof Uint8Array) yield data;
  else yield* data;
}

async function readSlice(blob: Blob, path: string, start: number, end: number): Promise<Uint8Array> {
  if (end > blob.size) return cutShort(path, start, end, blob.size);
  return new Uint8Array(await blob.slice(start, end).arrayBuffer());
}

/**
 * Files held in memory as blobs, by path: a folder that was dropped on the page (its files stay on the disk until they are read),
 * and what stands in for the private file system where there is none.
 */
export class BlobFiles implements Files {
  readonly #blobs: Map<string, Blob>;

  constructor(blobs: Iterable<readonly [string, Blob]> = []) {
    this.#blobs = new Map(Array.from(blobs, ([path, blob]) => [partsOf(path).join("/"), blob]));
  }

  async blob(path: string): Promise<Blob> {
    const blob = this.#blobs.get(partsOf(path).join("/"));
    if (!blob) throw new PithError(`cannot read ${path}: ${REASONS["NotFoundError"]}`);
    return blob;
  }

  read = (path: string): Promise<Uint8Array> =>
    named(path, "read", async () => new Uint8Array(await (await this.blob(path)).arrayBuffer()));

  readText = (path: string): Promise<string> => named(path, "read", async () => (await this.blob(path)).text());

  readRange = (path: string, start: number, end: number): Promise<Uint8Array> =>
    named(path, "read", async () => readSlice(await this.blob(path), path, start, end));

  size = async (path: string): Promise<number> => (await this.blob(path)).size;

  exists = async (path: string): Promise<boolean> =>
    this.#blobs.has(partsOf(path).join("/")) || (await this.list(path)).length > 0;

  list = async (path: string): Promise<string[]> => {
    const depth = partsOf(path).length;
    return [...new Set(this.#under(path).map((name) => name.split("/")[depth]!))].sort();
  };

  write = async (
    path: string,
    data: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<void> => {
    const chunks = await Array.fromAsync(chunksOf(data));
    this.#blobs.set(partsOf(path).join("/"), new Blob(chunks as Uint8Array<ArrayBuffer>[]));
  };

  append = async (path: string, text: string): Promise<void> => {
    const before = (await this.exists(path)) ? [await this.blob(path)] : [];
    this.#blobs.set(partsOf(path).join("/"), new Blob([...before, text]));
  };

  truncate = async (path: string, size: number): Promise<void> => {
    this.#blobs.set(partsOf(path).join("/"), (await this.blob(path)).slice(0, size));
  };

  sync = async (): Promise<void> => {};

  mkdir = async (): Promise<void> => {}; // a folder is there while it holds a file

  rename = async (from: string, to: string): Promise<void> => {
    const [source, target] = [partsOf(from).join("/"), partsOf(to).join("/")];
    for (const path of this.#under(from, true)) {
      this.#blobs.set(target + path.slice(source.length), this.#blobs.get(path)!);
      this.#blobs.delete(path);
    }
  };

  remove = async (path: string): Promise<void> => {
    for (const name of this.#under(path, true)) this.#blobs.delete(name);
  };

  #under(path: string, itself = false): string[] {
    const name = partsOf(path).join("/");
    return [...this.#blobs.keys()].filter(
      (key) => name === "" || key.startsWith(`${name}/`) || (itself && key === name),
    );
  }
}

/** The stores of this page: both can hand out a file for a download. */
export type Store = OpfsFiles | BlobFiles;
