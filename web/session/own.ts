import { FormatError, OutOfMemoryError, PithError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { byteLength, elementCount } from "../../src/gpu/tensor.ts";
import { NEEDED } from "../../src/hf/hub.ts";
import { ADAPTER_CONFIG } from "../../src/hf/peft.ts";
import { parameterShapes, type ModelConfig } from "../../src/model/config.ts";
import { misfit } from "../../src/model/limits.ts";
import { LoraModel } from "../../src/model/lora.ts";
import { readModelConfig, STORAGE, type Model } from "../../src/model/model.ts";
import type { Files } from "../../src/runtime/types.ts";
import { BlobFiles } from "../storage/blob-files.ts";
import { streamAnswer } from "./answers.ts";
import { hasTemplate, type Asking } from "./asking.ts";
import { DTYPE, loadModel, type Loaded, type Trainee } from "./models.ts";
import { planTraining } from "./plan.ts";
import type { Answer, OwnModelInfo, TrainingPlan } from "./protocol.ts";

export type OnProgress = (file: string, done: number, total: number) => void;

/** A folder, and whose files it is of. */
export interface Folder {
  files: Files;
  dir: string;
}

/** What a visitor brought. */
interface Own {
  name: string;
  folder: Folder;
  /** That of an adapter over it. */
  adapter: Folder | null;
  config: ModelConfig;
  training: TrainingPlan;
  asking: Asking;
  /** null until it is asked for again. */
  held: Held | null;
}

interface Held {
  loaded: Loaded;
  /** The base, or the adapter over it. */
  model: Model;
}

/** A model that a person brought: checked, loaded, and made to generate. Everything in its folder is untrusted. */
export class OwnModel {
  #own: Own | null = null;

  /** Loads a folder. One that is refused leaves the model before it in place. */
  async load(gpu: Gpu, { files, dir }: Folder, name: string, onProgress: OnProgress): Promise<OwnModelInfo> {
    const config = await readModelConfig(files, dir);
    checkLimits(config, gpu, name);
    const weights = (await sizesOf({ files, dir })).filter(([file]) => file.endsWith(".safetensors"));
    const total = weights.reduce((sum, [, size]) => sum + size, 0);
    const held = await hold(gpu, { files: counted(files, total, onProgress), dir }, null);
    const { asking, stopTokenIds } = held.loaded;
    const training = await planTraining(gpu, config, { name, dir }, stopTokenIds);
    return this.#take({ name, folder: { files, dir }, adapter: null, config, training, asking, held });
  }

  /** Loads an adapter's folder over the whole model that was brought before it, else over the `bundled` one. */
  async loadAdapter(gpu: Gpu, adapter: Folder, name: string, bundled: Folder): Promise<OwnModelInfo> {
    const folder = this.#own?.folder ?? bundled;
    const config = await readModelConfig(folder.files, folder.dir);
    const held = await hold(gpu, folder, adapter);
    const training = { refusal: "it is an adapter; drop a whole model for that" };
    return this.#take({ name, folder, adapter, config, training, asking: held.loaded.asking, held });
  }

  async generate(gpu: Gpu, text: string, onPieces: (pieces: string[]) => void, signal: AbortSignal): Promise<Answer> {
    const own = this.#required;
    own.held ??= await hold(gpu, own.folder, own.adapter);
    const { model, loaded } = own.held;
    const { tokenizer, stopTokenIds } = loaded;
    const prompt = hasTemplate(tokenizer)
      ? tokenizer.applyChatTemplate([{ role: "user", content: tokenizer.literal(text) }], { addGenerationPrompt: true })
      : text;
    const promptTokenIds = tokenizer.encode(prompt, { addSpecialTokens: false });
    return streamAnswer(model, tokenizer, { promptTokenIds, stopTokenIds, gold: null }, onPieces, signal);
  }

  /**
   * What a run is to begin with: the model's folder in the `store`, where it is put at `dir` if it is not there yet. Off the device,
   * for training has its own.
   *
   * @throws PithError where it does not train here, or the store has no `room` for it
   */
  async train(
    store: Files,
    dir: string,
    room: () => Promise<number>,
    onProgress: OnProgress,
  ): Promise<{ trainee: Trainee; asking: Asking }> {
    const own = this.#required;
    const { name, training, config, asking } = own;
    if ("refusal" in training) throw new PithError(`${name} does not train here: ${training.refusal}`);
    if (own.folder.files !== store) {
      await copyFolder(own.folder, { files: store, dir }, await room(), onProgress);
      own.folder = { files: store, dir };
    }
    this.#release();
    const trainee = {
      name,
      dir: own.folder.dir,
      rank: training.rank,
      width: config.hiddenSize,
      context: config.maxPositionEmbeddings,
    };
    return { trainee, asking };
  }

  /** The device is gone, and the model on it. */
  forget(): void {
    if (this.#own) this.#own.held = null;
  }

  get #required(): Own {
    if (!this.#own) throw new PithError("expected a model of your own, got none; drop its folder first");
    return this.#own;
  }

  #take(own: Own): OwnModelInfo {
    this.#release();
    this.#own = own;
    const { name, config, training } = own;
    const { modelType, maxPositionEmbeddings: context } = config;
    return { name, modelType, ...sizeOf(config), context, training };
  }

  #release(): void {
    const held = this.#own?.held;
    if (!held) return;
    held.model.dispose();
    if (held.model !== held.loaded.base) held.loaded.base.dispose();
    this.#own!.held = null;
  }
}

/** A model on the device, with the adapter over it where there is one. */
async function hold(gpu: Gpu, { files, dir }: Folder, adapter: Folder | null): Promise<Held> {
  const loaded = await loadModel(gpu, files, dir);
  if (!adapter) return { loaded, model: loaded.base };
  try {
    return { loaded, model: await LoraModel.loadAdapter(loaded.base, adapter.files, adapter.dir) };
  } catch (error) {
    loaded.base.dispose();
    throw error;
  }
}

const sizeOf = (config: ModelConfig): { parameters: number; bytes: number } => {
  const shapes = [...parameterShapes(config).values()];
  return {
    parameters: shapes.reduce((sum, shape) => sum + elementCount(shape), 0),
    bytes: shapes.reduce((sum, shape) => sum + byteLength(shape, STORAGE[DTYPE]), 0),
  };
};

/** Whether this adapter can run the model, from config.json alone: nothing is read or uploaded for one that it cannot. */
export function checkLimits(config: ModelConfig, gpu: Gpu, name: string): void {
  const problem = misfit(gpu, config, STORAGE[DTYPE]);
  if (problem) throw new OutOfMemoryError(`${name}: ${problem}`);
}

/** Names and sizes of what belongs to the model in a folder. */
const sizesOf = async ({ files, dir }: Folder) =>
  Promise.all(
    (await files.list(dir))
      .filter((name) => NEEDED.test(name))
      .map(async (name) => [name, await files.size(`${dir}/${name}`)] as const),
  );

/** The same files; reading ranges of them is reported. */
function counted(files: Files, total: number, onProgress: OnProgress): Files {
  let done = 0;
  return new Proxy(files, {
    get(target, key) {
      if (key !== "readRange") return Reflect.get(target, key, target) as unknown;
      return async (path: string, start: number, end: number) => {
        const bytes = await target.readRange(path, start, end);
        onProgress(path.slice(path.lastIndexOf("/") + 1), Math.min(total, (done += end - start)), total);
        return bytes;
      };
    },
  });
}

/** Bytes read and written at a time. */
const CHUNK = 2 ** 24;

async function copyFolder(from: Folder, to: Folder, room: number, onProgress: OnProgress): Promise<void> {
  const sizes = await sizesOf(from);
  const total = sizes.reduce((sum, [, size]) => sum + size, 0);
  if (total > room) throw new PithError(`expected at most ${room} bytes (this browser's storage), got ${total}`);
  const source = counted(from.files, total, onProgress);
  for (const [name, size] of sizes) {
    const chunks = async function* () {
      for (let start = 0; start < size; start += CHUNK)
        yield await source.readRange(`${from.dir}/${name}`, start, Math.min(start + CHUNK, size));
    };
    await to.files.write(`${to.dir}/${name}`, chunks());
  }
}

/** A dropped folder: its files' own names, without the folders around them. */
export function droppedFolder(files: readonly File[]): Folder & { isAdapter: boolean } {
  const has = (wanted: string) => files.some(({ name }) => name === wanted);
  if (!has("config.json") && !has(ADAPTER_CONFIG))
    throw new FormatError(
      `expected a Hugging Face folder with a config.json or an ${ADAPTER_CONFIG}, got ${
        files.length === 0
          ? "no files"
          : files
              .slice(0, 4)
              .map(({ name }) => name)
              .join(", ")
      }`,
    );
  const blobs = new BlobFiles(files.map((file) => [`dropped/${file.name}`, file]));
  return { files: blobs, dir: "dropped", isAdapter: !has("config.json") };
}
