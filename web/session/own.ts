import { FormatError, OutOfMemoryError, PithError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { byteLength, elementCount } from "../../src/gpu/tensor.ts";
import { openWeights } from "../../src/hf/checkpoint.ts";
import { stopTokenIds } from "../../src/hf/generation-config.ts";
import { loadTokenizer, type Tokenizer } from "../../src/hf/tokenizer.ts";
import { parameterShapes, type ModelConfig } from "../../src/model/config.ts";
import { misfit } from "../../src/model/limits.ts";
import { Model, readModelConfig, STORAGE } from "../../src/model/model.ts";
import type { Files } from "../../src/runtime/types.ts";
import { BlobFiles } from "../storage/blob-files.ts";
import { streamAnswer } from "./answers.ts";
import type { Answer, OwnModelInfo } from "./protocol.ts";
import { DTYPE } from "./settings.ts";

export type OnProgress = (file: string, done: number, total: number) => void;

interface Own {
  gpu: Gpu;
  model: Model;
  tokenizer: Tokenizer;
  stopTokenIds: number[];
  hasTemplate: boolean;
}

/** A model that a person brought: checked, loaded, and made to generate. Everything in its folder is untrusted. */
export class OwnModel {
  #own: Own | null = null;

  /** Loads the folder `dir`. A folder that is refused leaves the model before it in place. */
  async load(gpu: Gpu, files: Files, dir: string, name: string, onProgress: OnProgress): Promise<OwnModelInfo> {
    const config = await readModelConfig(files, dir);
    const { parameters, bytes } = checkLimits(config, gpu, name);
    const tokenizer = await loadTokenizer(files, dir);
    await checkShapes(files, dir, config);
    const total = await weightBytes(files, dir);
    const model = await Model.load(gpu, counted(files, total, onProgress), dir, { dtype: DTYPE });
    try {
      await gpu.idle(); // where the device had no memory for it, this says so
    } catch (error) {
      model.dispose();
      throw error;
    }
    this.dispose();
    const hasTemplate = canRender(tokenizer);
    this.#own = {
      gpu,
      model,
      tokenizer,
      stopTokenIds: await stopTokenIds(files, dir, config, tokenizer),
      hasTemplate,
    };
    return { name, modelType: config.modelType, parameters, bytes, context: config.maxPositionEmbeddings, hasTemplate };
  }

  async generate(text: string, onPieces: (pieces: string[]) => void, signal: AbortSignal): Promise<Answer> {
    if (!this.#own) throw new PithError("expected a model of your own, got none; drop its folder first");
    const { model, tokenizer, stopTokenIds: stops, hasTemplate } = this.#own;
    const prompt = hasTemplate
      ? tokenizer.applyChatTemplate([{ role: "user", content: tokenizer.literal(text) }], { addGenerationPrompt: true })
      : text;
    const promptTokenIds = tokenizer.encode(prompt, { addSpecialTokens: false });
    return streamAnswer(model, tokenizer, { promptTokenIds, stopTokenIds: stops, gold: null }, onPieces, signal);
  }

  dispose(): void {
    this.#own?.model.dispose();
    this.#own = null;
  }

  /** The device is gone, and the model with it. */
  forget(): void {
    this.#own = null;
  }
}

/** Whether this adapter can run the model, from config.json alone: nothing is read or uploaded for one that it cannot. */
export function checkLimits(config: ModelConfig, gpu: Gpu, name: string): { parameters: number; bytes: number } {
  const problem = misfit(gpu, config, STORAGE[DTYPE]);
  if (problem) throw new OutOfMemoryError(`${name}: ${problem}`);
  let [parameters, bytes] = [0, 0];
  for (const shape of parameterShapes(config).values()) {
    parameters += elementCount(shape);
    bytes += byteLength(shape, STORAGE[DTYPE]);
  }
  return { parameters, bytes };
}

/** What the weights' headers say, against config.json. */
async function checkShapes(files: Files, dir: string, config: ModelConfig): Promise<void> {
  const weights = await openWeights(files, dir);
  for (const [name, shape] of parameterShapes(config)) {
    const found = weights.shape(name);
    if (String(found) !== String(shape))
      throw new FormatError(`${dir}: expected ${name} of shape [${shape}] as config.json says, got [${found}]`);
  }
}

async function weightBytes(files: Files, dir: string): Promise<number> {
  let total = 0;
  for (const name of await files.list(dir))
    if (name.endsWith(".safetensors")) total += await files.size(`${dir}/${name}`);
  return total;
}

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

function canRender(tokenizer: Tokenizer): boolean {
  try {
    tokenizer.applyChatTemplate([{ role: "user", content: "" }], { addGenerationPrompt: true });
    return true;
  } catch {
    return false; // a base model: its prompt is the text itself
  }
}

/** A dropped folder: its files' own names, without the folders around them. */
export function droppedFolder(files: readonly File[]): { files: BlobFiles; dir: string } {
  if (!files.some(({ name }) => name === "config.json"))
    throw new FormatError(
      `expected a Hugging Face folder with a config.json, got ${
        files.length === 0
          ? "no files"
          : files
              .slice(0, 4)
              .map(({ name }) => name)
              .join(", ")
      }`,
    );
  return { files: new BlobFiles(files.map((file) => [`dropped/${file.name}`, file])), dir: "dropped" };
}
