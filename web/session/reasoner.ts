import { PithError } from "../../src/errors.ts";
import type { Files } from "../../src/runtime/types.ts";

/** Where the bundled model lies in the store. */
export const REASONER = "models/reasoner";

/** The build turns each of these into a static file beside the page. */
const URLS = {
  "config.json": new URL("../../models/reasoner/config.json", import.meta.url),
  "generation_config.json": new URL("../../models/reasoner/generation_config.json", import.meta.url),
  "tokenizer.json": new URL("../../models/reasoner/tokenizer.json", import.meta.url),
  "tokenizer_config.json": new URL("../../models/reasoner/tokenizer_config.json", import.meta.url),
  "model.safetensors": new URL("../../models/reasoner/model.safetensors", import.meta.url),
};

/** Fetches the bundled model and puts it into the store; without a network, what an earlier visit put there stays. */
export async function fetchReasoner(files: Files): Promise<void> {
  await Promise.all(
    Object.entries(URLS).map(async ([name, url]) => {
      const path = `${REASONER}/${name}`;
      try {
        const response = await fetch(url);
        if (!response.ok) throw new PithError(`expected the file, got status ${response.status}`);
        const bytes = new Uint8Array(await response.arrayBuffer());
        await files.write(path, bytes);
      } catch (error) {
        if (await files.exists(path)) return;
        throw new PithError(
          `${name} of the bundled model cannot be loaded: ${(error as Error).message}; reload the page`,
          {
            cause: error,
          },
        );
      }
    }),
  );
}
