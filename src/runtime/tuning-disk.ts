import { homedir } from "node:os";
import process from "node:process";
import { replaceFile } from "./aside.ts";
import { nodeFiles } from "./files-node.ts";
import type { TuningStore } from "./tuning.ts";

/** Tables of tiles in the user's cache: pith/ under XDG_CACHE_HOME or ~/.cache. */
export const diskTuning: TuningStore = {
  get place() {
    return `${process.env["XDG_CACHE_HOME"] || `${homedir()}/.cache`}/pith`;
  },

  async read(name) {
    const path = `${this.place}/${name}`;
    return (await nodeFiles.exists(path)) ? nodeFiles.readText(path) : null;
  },

  async write(name, text) {
    const path = `${this.place}/${name}`;
    await nodeFiles.mkdir(this.place);
    await replaceFile(path, text);
  },
};
