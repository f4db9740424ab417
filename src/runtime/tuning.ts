import type { Gpu } from "../gpu/gpu.ts";
import { formatTuning, parseTuning, tuningName } from "../gpu/tuning.ts";
import { tuningKey } from "../kernels/tuning-key.ts";

/** Where a host keeps tables of tiles, by name. */
export interface TuningStore {
  /** For people. */
  readonly place: string;
  /** Null where there is none. */
  read(name: string): Promise<string | null>;
  /** Replaces it whole: a reader sees the old text or the new. */
  write(name: string, text: string): Promise<void>;
}

/** Takes up what was measured on this adapter, if anything was. What cannot be used is left alone, and `note` is told why. */
export async function loadTuning(gpu: Gpu, store: TuningStore, note: (line: string) => void): Promise<void> {
  try {
    const key = await tuningKey(gpu);
    if (!key) return;
    const name = tuningName(key);
    const text = await store.read(name);
    try {
      if (text !== null) gpu.tuning = parseTuning(text, key);
    } catch (error) {
      note(`${store.place}/${name} is not used: ${(error as Error).message}; measure tiles again to replace it`);
    }
  } catch (error) {
    note(`tables of tiles in ${store.place} are not used: ${(error as Error).message}`);
  }
}

/** Keeps gpu.tuning for the next device on this adapter. Returns where. */
export async function saveTuning(gpu: Gpu, store: TuningStore): Promise<string> {
  const key = await tuningKey(gpu);
  if (!key || !gpu.tuning) throw new Error("expected a device with measured tiles");
  const name = tuningName(key);
  await store.write(name, formatTuning(gpu.tuning, key));
  return `${store.place}/${name}`;
}
