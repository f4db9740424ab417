import { chunksOf, QuotaError, type Data } from "../../src/runtime/files-opfs.ts";
import type { Files } from "../../src/runtime/types.ts";
import { BlobFiles } from "./blob-files.ts";

/** What can keep the page's files. */
export type Disk = Files & { blob(path: string): Promise<Blob> };

/**
 * The page's files on a disk that may be full. From the first write that finds no room on, everything is written to memory, and
 * `onFull` hears why: what the disk holds stays as it was, whole, for the next visit. Reading sees both.
 */
export class OverflowFiles implements Disk {
  readonly #disk: Disk;
  readonly #memory = new BlobFiles();
  readonly #onFull: (message: string) => void;
  #full = false;

  constructor(disk: Disk, onFull: (message: string) => void) {
    this.#disk = disk;
    this.#onFull = onFull;
  }

  read = async (path: string): Promise<Uint8Array> => (await this.#holder(path)).read(path);
  readText = async (path: string): Promise<string> => (await this.#holder(path)).readText(path);
  readRange = async (path: string, start: number, end: number): Promise<Uint8Array> =>
    (await this.#holder(path)).readRange(path, start, end);
  size = async (path: string): Promise<number> => (await this.#holder(path)).size(path);
  blob = async (path: string): Promise<Blob> => (await this.#holder(path)).blob(path);

  exists = async (path: string): Promise<boolean> =>
    (await this.#memory.exists(path)) || (await this.#disk.exists(path));

  async list(path: string): Promise<string[]> {
    const kept = (await this.#disk.exists(path)) ? await this.#disk.list(path) : [];
    return [...new Set([...kept, ...(await this.#memory.list(path))])].sort();
  }

  async write(path: string, data: Data): Promise<void> {
    const chunks = await Array.fromAsync(chunksOf(data)); // it may be needed twice
    await this.#keep(
      () => this.#disk.write(path, chunks),
      () => this.#memory.write(path, chunks),
    );
  }

  append = (path: string, text: string): Promise<void> =>
    this.#keep(
      () => this.#disk.append(path, text),
      async () => {
        await this.#lift(path);
        await this.#memory.append(path, text);
      },
    );

  async truncate(path: string, size: number): Promise<void> {
    if (this.#full) await this.#lift(path);
    await (this.#full ? this.#memory : this.#disk).truncate(path, size);
  }

  sync = async (): Promise<void> => {};

  mkdir = (path: string): Promise<void> =>
    this.#keep(
      () => this.#disk.mkdir(path),
      () => this.#memory.mkdir(),
    );

  rename = (from: string, to: string): Promise<void> =>
    this.#keep(
      () => this.#disk.rename(from, to),
      async () => {
        await this.#lift(from);
        await this.#disk.remove(from);
        await this.#memory.rename(from, to);
      },
    );

  async remove(path: string): Promise<void> {
    await this.#memory.remove(path);
    await this.#disk.remove(path);
  }

  #holder = async (path: string): Promise<Disk> => ((await this.#memory.exists(path)) ? this.#memory : this.#disk);

  async #keep(onDisk: () => Promise<void>, inMemory: () => Promise<void>): Promise<void> {
    if (!this.#full) {
      try {
        return await onDisk();
      } catch (error) {
        if (!(error instanceof QuotaError)) throw error;
        this.#full = true;
        this.#onFull(error.message);
      }
    }
    await inMemory();
  }

  /** Copies what the disk holds of a file or folder into memory, where memory has nothing newer. */
  async #lift(path: string): Promise<void> {
    if (!(await this.#disk.exists(path)) || (await this.#isHeld(path))) return;
    const file = await this.#disk.blob(path).catch(() => null); // a folder is none
    if (file) return this.#memory.write(path, new Uint8Array(await file.arrayBuffer()));
    for (const name of await this.#disk.list(path)) await this.#lift(`${path}/${name}`);
  }

  /** Whether memory holds this very file. */
  #isHeld = async (path: string): Promise<boolean> =>
    (await this.#memory.exists(path)) && (await this.#memory.list(path)).length === 0;
}
