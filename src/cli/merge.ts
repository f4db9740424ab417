import { FormatError, PithError } from "../errors.ts";
import { packBf16 } from "../core/bf16.ts";
import { openWeights } from "../hf/checkpoint.ts";
import { ADAPTER_CONFIG } from "../hf/peft.ts";
import { parameterShapes } from "../model/config.ts";
import { mergedWeights } from "../model/merge.ts";
import { HF_DTYPE, readModelConfig, STORAGE, storedName, writeModelFolder, type ModelDType } from "../model/model.ts";
import { files, modelFolders, print } from "./host.ts";

/** `pith merge ADAPTER --output DIR`: a plain Hugging Face folder of the base with the adapter in its weights. Needs no adapter of a GPU. */
export async function mergeCommand(path: string, output: string, dtype: ModelDType): Promise<void> {
  const { modelDir, adapterDir } = await modelFolders(path);
  if (adapterDir === null)
    throw new FormatError(`${modelDir}: expected an adapter's folder, with ${ADAPTER_CONFIG}, got a whole model's`);
  if (await files.exists(output))
    throw new PithError(`${output}: expected a folder that is not there yet; choose another --output, or remove it`);
  const config = await readModelConfig(files, modelDir);
  const weights = await mergedWeights(await openWeights(files, modelDir), config, files, adapterDir, { dtype });
  const tensors = Array.from(parameterShapes(config), ([name, shape]) => ({
    name,
    dtype: HF_DTYPE[STORAGE[dtype]],
    shape,
    data: async () => {
      const values = await weights.readWeights(storedName(name, config, weights.names));
      return new Uint8Array((dtype === "bfloat16" ? packBf16(values) : values).buffer);
    },
  }));
  const aside = `${output}.unfinished`;
  await files.remove(aside);
  await writeModelFolder(files, aside, { config, dtype }, tensors, modelDir);
  await files.rename(aside, output);
  print(`${output}: ${modelDir} with ${adapterDir}`);
}
