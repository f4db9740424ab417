import type { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import type { Files } from "../../src/runtime/types.ts";
import { openGpu } from "../../src/runtime/web.ts";
import { loadModel, type Loaded } from "./models.ts";
import { REASONER } from "./reasoner.ts";

/** A device with the bundled model on it. What was made on a device goes when it goes. */
export interface Opened extends Loaded {
  gpu: DeviceGpu;
  /** The device is gone, and all tensors with it. */
  lost: boolean;
}

/** Browsers leave most of an adapter's description out, so that it tells people apart less: what they give is joined. */
export const adapterName = ({ name, info }: Gpu): string =>
  info.description || [info.vendor, info.architecture].filter(Boolean).join(" ") || name;

/** Hands out the device, and opens another one after it was lost. */
export class Device {
  readonly #files: Files;
  readonly #onLost: (reason: string) => void;
  #opening: Promise<Opened> | null = null;

  constructor(files: Files, onLost: (reason: string) => void) {
    this.#files = files;
    this.#onLost = onLost;
  }

  /** Rejects with a GpuUnavailableError where there is no adapter; the next call tries again. */
  load(): Promise<Opened> {
    if (!this.#opening) {
      const opening = this.#open();
      this.#opening = opening;
      opening.catch(() => {
        if (this.#opening === opening) this.#opening = null; // whoever awaits it sees the error
      });
    }
    return this.#opening;
  }

  /** The model of a folder: the bundled one, which is everybody's, or another, which is the caller's to dispose. */
  async model(dir: string): Promise<Loaded> {
    const opened = await this.load();
    return dir === REASONER ? opened : loadModel(opened.gpu, this.#files, dir);
  }

  async #open(): Promise<Opened> {
    const gpu = await openGpu();
    let opened: Opened | null = null;
    void gpu.device.lost.then(({ message }) => {
      this.#opening = null;
      if (opened) opened.lost = true;
      this.#onLost(message);
    });
    opened = { gpu, ...(await loadModel(gpu, this.#files, REASONER)), lost: false };
    return opened;
  }
}
