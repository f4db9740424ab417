import type { Gpu } from "../gpu/gpu.ts";
import { LoraModel } from "../model/lora.ts";
import { Model } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import type { Files } from "../runtime/types.ts";
import { loraConfig } from "./options.ts";

/** The models of a run. With [lora] they are adapters over one frozen base, which is on the device once. */
export interface RunModels {
  /** Null where all weights are trained. */
  base: Model | null;
  /** The one that the run begins with. */
  begin(): Promise<Model>;
  /** A checkpoint's. */
  load(path: string): Promise<Model>;
}

/** `loaded`: the model of `modelDir` where the device has it already; it stays the caller's. */
export async function runModels(
  gpu: Gpu,
  files: Files,
  config: Config,
  modelDir: string,
  loaded?: Model,
): Promise<RunModels> {
  const whole = (dir: string) => Model.load(gpu, files, dir, { dtype: config.model.dtype });
  const lora = loraConfig(config);
  if (!lora) return { base: null, begin: async () => loaded?.clone() ?? whole(modelDir), load: whole };
  const base = loaded ?? (await whole(modelDir));
  return {
    base,
    begin: () => LoraModel.create(base, lora, { seed: config.train.seed }),
    load: (path) => LoraModel.loadAdapter(base, files, path),
  };
}
