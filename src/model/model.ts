import { FormatError, OutOfMemoryError, PithError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Storage, Tensor } from "../gpu/tensor.ts";
import { openWeights, type Weights } from "../hf/checkpoint.ts";
import { parseJson } from "../hf/json.ts";
import { writeSafetensors, type TensorSource } from "../hf/safetensors.ts";
import type { Files } from "../runtime/types.ts";
import type { Adapter } from "./adapter.ts";
import { parameterShapes, parseModelConfig, ropeTable, type ModelConfig } from "./config.ts";
import { firstNonFinite } from "./finite.ts";
import { normalAt } from "./init.ts";
import { misfit } from "./limits.ts";

export type ModelDType = "float32" | "bfloat16";

export const STORAGE: Readonly<Record<ModelDType, Storage>> = { float32: "f32", bfloat16: "bf16" };
/** What safetensors calls them. */
export const HF_DTYPE = { f32: "F32", bf16: "BF16" } as const;

/** Files of a model folder that training leaves as they are. */
const COMPANIONS = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "vocab.json",
  "merges.txt",
  "generation_config.json",
];

export const EMBEDDING = "model.embed_tokens.weight";

/**
 * The device of a job that a parameter lies on: its layer's. The embedding is before the first layer, the rest after the last, and
 * a tied embedding with the rest, for it is the head.
 */
export function deviceOf(gpu: Gpu, { numLayers, tieWordEmbeddings }: ModelConfig, name: string): Gpu {
  const layer = /\blayers\.(\d+)\./.exec(name)?.[1];
  const isFirst = name === EMBEDDING && !tieWordEmbeddings;
  return gpu.at(layer ? Number(layer) : isFirst ? 0 : numLayers - 1);
}

/** Bytes of weights that wait in host memory for the device to take them. */
const MOST_UNDER_WAY = 2 ** 28;

/** A language model's weights on the device, under their Hugging Face names. */
export class Model {
  readonly gpu: Gpu;
  readonly config: ModelConfig;
  readonly dtype: ModelDType;
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** The frozen model that this one adapts; null where all weights are its own. */
  readonly base: Model | null = null;
  readonly #ropes = new Map<Gpu, Tensor>();

  constructor(gpu: Gpu, config: ModelConfig, dtype: ModelDType, parameters: ReadonlyMap<string, Tensor>) {
    this.gpu = gpu;
    this.config = config;
    this.dtype = dtype;
    this.parameters = parameters;
  }

  /**
   * Loads a Hugging Face folder; tensors stream in one at a time.
   *
   * @throws OutOfMemoryError, before it reads any, where one is too large for the adapter
   */
  static async load(gpu: Gpu, files: Files, dir: string, { dtype }: { dtype: ModelDType }): Promise<Model> {
    const config = await readModelConfig(files, dir);
    requireFit(gpu, config, dtype, dir);
    return Model.from(gpu, config, await openWeights(files, dir), { dtype, source: dir });
  }

  /** Uploads the weights that `source` holds, one at a time. */
  static async from(
    gpu: Gpu,
    config: ModelConfig,
    weights: Weights,
    { dtype, source }: { dtype: ModelDType; source: string },
  ): Promise<Model> {
    const parameters = new Map<string, Tensor>();
    const own = gpu.scope();
    let written = 0;
    try {
      for (const [name, shape] of parameterShapes(config)) {
        const stored = storedName(name, config, weights.names);
        const found = weights.shape(stored);
        if (found.length !== shape.length || found.some((n, i) => n !== shape[i])) {
          throw new FormatError(`${source}: expected ${name} of shape [${shape}] as config.json says, got [${found}]`);
        }
        const device = deviceOf(own, config, name);
        const tensor = device.empty(shape, STORAGE[dtype]);
        parameters.set(name, tensor);
        const flat = tensor.view([tensor.size]);
        for await (const { first, values } of weights.weightParts(stored)) {
          device.write(flat.rows(first, values.length), values);
          written += values.byteLength;
          if (written < MOST_UNDER_WAY) continue;
          await own.idle();
          written = 0;
        }
      }
      await own.idle();
    } catch (error) {
      own.close();
      throw error;
    }
    return new Model(own, config, dtype, parameters);
  }

  /**
   * Weights from N(0, initializer_range), projections into the residual stream divided by sqrt(2 layers) as in GPT-2; norms 1,
   * biases 0.
   */
  static random(gpu: Gpu, config: ModelConfig, { dtype, seed }: { dtype: ModelDType; seed: number }): Model {
    requireFit(gpu, config, dtype, "a random model");
    const parameters = new Map<string, Tensor>();
    const range = typeof config.raw["initializer_range"] === "number" ? config.raw["initializer_range"] : 0.02;
    let stream = 0;
    for (const [name, shape] of parameterShapes(config)) {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      const residual = name.endsWith("o_proj.weight") || name.endsWith("down_proj.weight");
      const std = residual ? range / Math.sqrt(2 * config.numLayers) : range;
      if (name.endsWith("norm.weight")) data.fill(1);
      else if (!name.endsWith(".bias")) for (let i = 0; i < data.length; i++) data[i] = std * normalAt(seed, stream, i);
      parameters.set(name, deviceOf(gpu, config, name).upload(data, shape, STORAGE[dtype]));
      stream++;
    }
    return new Model(gpu, config, dtype, parameters);
  }

  /** How weights and the KV cache are stored. */
  get storage(): Storage {
    return STORAGE[this.dtype];
  }

  get numParameters(): number {
    return Array.from(this.parameters.values()).reduce((sum, { size }) => sum + size, 0);
  }

  /** What training changes, under the names that it is saved by. */
  get trainable(): ReadonlyMap<string, Tensor> {
    return this.parameters;
  }

  /** What is beside a linear layer, by its full name. */
  adapterOf(_module: string): Adapter | null {
    return null;
  }

  parameter(name: string): Tensor {
    const tensor = this.parameters.get(name);
    if (!tensor) throw new Error(`the model has no parameter ${name}`);
    return tensor;
  }

  /** The parameter that projects hidden states to logits, [V, C]: the embedding where the head is tied. */
  get headName(): string {
    return this.config.tieWordEmbeddings ? EMBEDDING : "lm_head.weight";
  }

  /**
   * Makes the rotary table for so many positions, which `rope` then has.
   *
   * @throws OutOfMemoryError where there is no memory for it; the model is then as before
   */
  async reserve(positions: number): Promise<void> {
    const before = new Map(this.#ropes);
    try {
      for (let layer = 0; layer < this.config.numLayers; layer++) this.rope(positions, layer);
      if (Array.from(this.#ropes).some(([gpu, table]) => before.get(gpu) !== table)) await this.gpu.idle();
    } catch (error) {
      this.#releaseRopes();
      throw error;
    }
  }

  /** Cosines and sines on the device of a layer, f32 [at least `positions`, D], made on the host in float64. */
  rope(positions: number, layer = 0): Tensor {
    const gpu = this.gpu.at(layer);
    const known = this.#ropes.get(gpu);
    if (known && known.shape[0]! >= positions) return known;
    gpu.release(known);
    this.#ropes.delete(gpu);
    const rows = Math.max(256, 2 ** Math.ceil(Math.log2(positions)));
    const table = gpu.upload(ropeTable(this.config, rows), [rows, this.config.headDim], "f32");
    this.#ropes.set(gpu, table);
    return table;
  }

  #releaseRopes(): void {
    this.gpu.release(...this.#ropes.values());
    this.#ropes.clear();
  }

  /**
   * A second model with the same weights, for a reference policy that stays as it is.
   *
   * @throws OutOfMemoryError
   */
  async clone(): Promise<Model> {
    const parameters = new Map<string, Tensor>();
    const own = this.gpu.scope();
    try {
      for (const [name, source] of this.parameters) {
        const device = deviceOf(own, this.config, name);
        const target = device.empty(source.shape, source.dtype);
        device.recorder().copy(source, target);
        parameters.set(name, target);
      }
      await own.idle();
    } catch (error) {
      own.close();
      throw error;
    }
    return new Model(own, this.config, this.dtype, parameters);
  }

  /** Writes a Hugging Face folder. Tokenizer and generation settings are copied from `source` as they are. */
  async save(files: Files, dir: string, source?: string): Promise<void> {
    await writeModelFolder(files, dir, this, this.sources(), source);
  }

  /** The trained tensors as a file takes them. */
  protected sources(): TensorSource[] {
    return Array.from(this.trainable, ([name, tensor]) => ({
      name,
      dtype: HF_DTYPE[this.storage],
      shape: [...tensor.shape],
      data: async () => {
        const bytes = await this.gpu.readBytes(tensor);
        const at = firstNonFinite(bytes, this.storage);
        if (at >= 0) {
          throw new PithError(
            `expected finite weights, got another in ${name} at ${at}: training has diverged; lower optim.learning_rate and go on from the last checkpoint`,
          );
        }
        return bytes;
      },
    }));
  }

  dispose(): void {
    this.gpu.release(...this.parameters.values());
    this.#releaseRopes();
  }
}

/** Writes a Hugging Face folder of these tensors. Tokenizer and generation settings are copied from `source` as they are. */
export async function writeModelFolder(
  files: Files,
  dir: string,
  { config, dtype }: Pick<Model, "config" | "dtype">,
  tensors: readonly TensorSource[],
  source?: string,
): Promise<void> {
  await files.mkdir(dir);
  const { torch_dtype: _old, ...raw } = config.raw;
  await files.write(`${dir}/config.json`, `${JSON.stringify({ ...raw, dtype }, null, 2)}\n`);
  await writeSafetensors(files, `${dir}/model.safetensors`, tensors, { format: "pt" });
  for (const name of COMPANIONS) {
    if (source && (await files.exists(`${source}/${name}`)))
      await files.write(`${dir}/${name}`, await files.read(`${source}/${name}`));
  }
}

/** Embedding and head of a tied model are one tensor, under either name. */
export const storedName = (name: string, { tieWordEmbeddings }: ModelConfig, names: readonly string[]): string =>
  tieWordEmbeddings && name === EMBEDDING && !names.includes(name) ? "lm_head.weight" : name;

function requireFit(gpu: Gpu, config: ModelConfig, dtype: ModelDType, name: string): void {
  const problem = misfit(gpu, config, STORAGE[dtype]);
  if (problem) throw new OutOfMemoryError(`${name}: ${problem}`);
}

/** config.json and generation_config.json of a Hugging Face folder. */
export async function readModelConfig(files: Files, dir: string): Promise<ModelConfig> {
  const path = `${dir}/config.json`;
  return parseModelConfig(parseJson(await files.readText(path), path), path);
}
