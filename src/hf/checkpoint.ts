import { FormatError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";
import { brief, readJsonObject } from "./json.ts";
import { openSafetensors, type Part, type SafetensorsFile } from "./safetensors.ts";

/** A model folder's weights, in one file or in shards. */
export interface Weights {
  names: string[];
  shape(name: string): number[];
  /** As in the file: BF16, F16 or F32. */
  dtype(name: string): string;
  readWeights(name: string): Promise<Float32Array>;
  /** The same in parts, which take little memory. */
  weightParts(name: string): AsyncGenerator<Part>;
}

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/** Opens model.safetensors, or the shards that model.safetensors.index.json names. */
export async function openWeights(files: Files, dir: string): Promise<Weights> {
  const owner = new Map<string, SafetensorsFile>();
  const aliases = new Map<string, string>();
  if (await files.exists(`${dir}/${SINGLE}`)) {
    const file = await openSafetensors(files, `${dir}/${SINGLE}`);
    for (const name of file.tensors.keys()) owner.set(name, file);
  } else if (await files.exists(`${dir}/${INDEX}`)) {
    for (const [name, file] of await openShards(files, dir)) owner.set(name, file);
  } else {
    throw new FormatError(`${dir}: expected ${SINGLE} or ${INDEX}, got neither`);
  }
  // Of tied tensors safetensors' save_model writes one, and says in the metadata which stands for which.
  for (const file of new Set(owner.values())) {
    for (const [name, kept] of Object.entries(file.metadata)) {
      if (!owner.has(name) && owner.get(kept) === file) aliases.set(name, kept);
    }
  }
  const stored = (name: string): string => aliases.get(name) ?? name;
  const find = (name: string): SafetensorsFile => {
    const file = owner.get(stored(name));
    if (!file) throw new FormatError(`${dir}: expected a tensor ${name} as config.json says, got none of that name`);
    return file;
  };
  return {
    names: [...owner.keys(), ...aliases.keys()],
    shape: (name) => find(name).tensors.get(stored(name))!.shape,
    dtype: (name) => find(name).tensors.get(stored(name))!.dtype,
    readWeights: (name) => find(name).readWeights(stored(name)),
    weightParts: (name) => find(name).weightParts(stored(name)),
  };
}

async function openShards(files: Files, dir: string): Promise<Map<string, SafetensorsFile>> {
  const map = (await readJsonObject(files, `${dir}/${INDEX}`))["weight_map"];
  if (typeof map !== "object" || map === null) throw new FormatError(`${dir}/${INDEX}: expected an object weight_map`);
  const shards = new Map<string, SafetensorsFile>();
  const owner = new Map<string, SafetensorsFile>();
  for (const [name, shard] of Object.entries(map as Record<string, unknown>)) {
    if (typeof shard !== "string" || !/^[\w.-]+\.safetensors$/.test(shard)) {
      throw new FormatError(`${dir}/${INDEX}: expected a .safetensors file beside it for ${name}, got ${brief(shard)}`);
    }
    let file = shards.get(shard);
    if (!file) shards.set(shard, (file = await openSafetensors(files, `${dir}/${shard}`)));
    if (!file.tensors.has(name))
      throw new FormatError(`${dir}/${shard}: expected a tensor ${name} as the index says, got none of that name`);
    owner.set(name, file);
  }
  return owner;
}
