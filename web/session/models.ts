import type { Gpu } from "../../src/gpu/gpu.ts";
import { stopTokenIds } from "../../src/hf/generation-config.ts";
import { ADAPTER_CONFIG, adapterConfigText, readAdapterConfig } from "../../src/hf/peft.ts";
import { loadTokenizer, type Tokenizer } from "../../src/hf/tokenizer.ts";
import { LoraModel } from "../../src/model/lora.ts";
import { Model } from "../../src/model/model.ts";
import { PithError } from "../../src/errors.ts";
import type { Files } from "../../src/runtime/types.ts";
import { askingOf, type Asking } from "./asking.ts";
import { REASONER } from "./reasoner.ts";
import { REASONER_NAME } from "./protocol.ts";

/** How weights lie on the device. */
export const DTYPE = "bfloat16";

/** A model that a run begins with: what the run's settings depend on. */
export interface Trainee {
  name: string;
  /** Its folder in the store. */
  dir: string;
  /** Of the adapters beside its frozen weights; 0 trains all of them. */
  rank: number;
  /** Its hidden size. */
  width: number;
  /** Positions. */
  context: number;
}

export const BUNDLED: Trainee = { name: REASONER_NAME, dir: REASONER, rank: 0, width: 64, context: 512 };

/** A model on a device, and what its folder says of asking it. */
export interface Loaded {
  base: Model;
  tokenizer: Tokenizer;
  stopTokenIds: number[];
  asking: Asking;
}

/** The model of a folder of the store. */
export async function loadModel(gpu: Gpu, files: Files, dir: string): Promise<Loaded> {
  if (!(await files.exists(`${dir}/config.json`)))
    throw new PithError(
      `expected the model that this run began with, got none in this browser; drop the exported run's model folder under Bring your own`,
    );
  const tokenizer = await loadTokenizer(files, dir);
  const base = await Model.load(gpu, files, dir, { dtype: DTYPE });
  return {
    base,
    tokenizer,
    stopTokenIds: await stopTokenIds(files, dir, base.config, tokenizer),
    asking: askingOf(tokenizer, base.config.maxPositionEmbeddings),
  };
}

/** What a run left in a folder: a whole model, or an adapter over the one that it began with. */
export const loadTrained = async (base: Model, files: Files, dir: string): Promise<Model> =>
  (await files.exists(`${dir}/${ADAPTER_CONFIG}`))
    ? LoraModel.loadAdapter(base, files, dir)
    : Model.load(base.gpu, files, dir, { dtype: DTYPE });

/** Writes that folder, for those who know the model by its `name`. `source` is the folder that it began with. */
export async function saveTrained(
  model: Model,
  files: Files,
  dir: string,
  { name, source }: { name: string; source: string },
): Promise<void> {
  await model.save(files, dir, source);
  if (!model.base) return;
  const adapter = await readAdapterConfig(files, dir);
  await files.write(`${dir}/${ADAPTER_CONFIG}`, adapterConfigText({ ...adapter, baseModel: name }));
}
