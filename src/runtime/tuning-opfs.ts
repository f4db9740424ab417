import type { TuningStore } from "./tuning.ts";

/** Of the origin's private file system. */
const FOLDERS = ["pith", "tuning"];

async function folder(create: boolean): Promise<FileSystemDirectoryHandle> {
  let at = await navigator.storage.getDirectory();
  for (const name of FOLDERS) at = await at.getDirectoryHandle(name, { create });
  return at;
}

/** Tables of tiles in the browser, beside what the page keeps there. */
export const opfsTuning: TuningStore = {
  place: `this browser's ${FOLDERS.join("/")}`,

  async read(name) {
    try {
      return await (await (await (await folder(false)).getFileHandle(name)).getFile()).text();
    } catch (error) {
      if ((error as Error).name === "NotFoundError") return null;
      throw error;
    }
  },

  async write(name, text) {
    const file = await (await folder(true)).getFileHandle(name, { create: true });
    const writable = await file.createWritable(); // a file beside it, which takes its place at close
    await writable.write(text);
    await writable.close();
  },
};
