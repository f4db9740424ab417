import { QuotaError } from "../../src/runtime/files-opfs.ts";
import { BlobFiles } from "../../web/storage/blob-files.ts";

/** Files in memory whose disk is full at the write number `room`, and from then on. */
export class LimitedFiles extends BlobFiles {
  writes = 0;
  readonly #room: number;

  constructor(room: number) {
    super();
    this.#room = room;
    for (const name of ["write", "append", "rename"] as const) {
      const work = this[name] as (...args: unknown[]) => Promise<void>;
      Object.defineProperty(this, name, {
        value: async (...args: unknown[]) => {
          if (this.writes++ >= this.#room) throw new QuotaError(`cannot ${name}: no room`);
          await work(...args);
        },
      });
    }
  }
}
