import { PithError } from "../../src/errors.ts";
import { chunksOf, named, partsOf, readSlice, type Data } from "../../src/runtime/files-opfs.ts";
import type { Files } from "../../src/runtime/types.ts";

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
    if (!blob) throw new PithError(`cannot read ${path}: no such file or folder`);
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

  write = async (path: string, data: Data): Promise<void> => {
    this.#blobs.set(partsOf(path).join("/"), new Blob(await Array.fromAsync(chunksOf(data))));
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
