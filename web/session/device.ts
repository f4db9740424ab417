import type { DeviceGpu } from "../../src/gpu/device-gpu.ts";
import { stopTokenIds } from "../../src/hf/generation-config.ts";
import { loadTokenizer, type Tokenizer } from "../../src/hf/tokenizer.ts";
import { Model } from "../../src/model/model.ts";
import type { Files } from "../../src/runtime/types.ts";
import { openGpu } from "../../src/runtime/web.ts";
import { REASONER } from "./reasoner.ts";
import { DTYPE } from "./settings.ts";

/** A device with the bundled model on it. What was made on a device goes when it goes. */
export interface Loaded {
  gpu: DeviceGpu;
  base: Model;
  tokenizer: Tokenizer;
  stopTokenIds: number[];
  /** The device is gone, and all tensors with it. */
  lost: boolean;
}

/** Hands out the device, and opens another one after it was lost. */
export class Device {
  readonly #files: Files;
  readonly #onLost: (reason: string) => void;
  #loading: Promise<Loaded> | null = null;

  constructor(files: Files, onLost: (reason: string) => void) {
    this.#files = files;
    this.#onLost = onLost;
  }

  /** Rejects with a GpuUnavailableError where there is no adapter; the next call tries again. */
  load(): Promise<Loaded> {
    if (!this.#loading) {
      const loading = this.#open();
      this.#loading = loading;
      loading.catch(() => {
        if (this.#loading === loading) this.#loading = null; // whoever awaits it sees the error
      });
    }
    return this.#loading;
  }

  async #open(): Promise<Loaded> {
    const gpu = await openGpu();
    let loaded: Loaded | null = null;
    void gpu.device.lost.then(({ message }) => {
      this.#loading = null;
      if (loaded) loaded.lost = true;
      this.#onLost(message);
    });
    const base = await Model.load(gpu, this.#files, REASONER, { dtype: DTYPE });
    const tokenizer = await loadTokenizer(this.#files, REASONER);
    loaded = {
      gpu,
      base,
      tokenizer,
      stopTokenIds: await stopTokenIds(this.#files, REASONER, base.config, tokenizer),
      lost: false,
    };
    return loaded;
  }
}
