import { OpfsFiles } from "./files-opfs.ts";
import type { TuningStore } from "./tuning.ts";

const FOLDER = "pith/tuning";

const files = async (): Promise<OpfsFiles> => new OpfsFiles(await navigator.storage.getDirectory());

/** Tables of tiles in the browser, beside what the page keeps there. */
export const opfsTuning: TuningStore = {
  place: `this browser's ${FOLDER}`,

  async read(name) {
    const store = await files();
    const path = `${FOLDER}/${name}`;
    return (await store.exists(path)) ? store.readText(path) : null;
  },

  write: async (name, text) => (await files()).write(`${FOLDER}/${name}`, text),
};
