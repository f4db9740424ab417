import process from "node:process";
import { pathToFileURL } from "node:url";
import { FormatError, GpuUnavailableError, PithError, UsageError } from "../errors.ts";
import type { DeviceGpu } from "../gpu/device-gpu.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { loadTokenizer, type Tokenizer } from "../hf/tokenizer.ts";
import { stopTokenIds } from "../hf/generation-config.ts";
import { ADAPTER_CONFIG, readAdapterConfig } from "../hf/peft.ts";
import { resolveDataFiles, resolveModelDir, type DownloadProgress, type HubOptions } from "../hf/hub.ts";
import { LoraModel } from "../model/lora.ts";
import { Model, readModelConfig, type ModelDType } from "../model/model.ts";
import type { Config } from "../run/config.ts";
import { deadline } from "../runtime/deadline.ts";
import { nodeFiles } from "../runtime/files-node.ts";
import { parquetRowsInThread } from "../runtime/parquet-thread.ts";
import { openGpu as openHostGpu } from "../runtime/open-gpu.ts";
import { loadTask } from "../tasks/load.ts";
import type { DataHost } from "../tasks/rows.ts";
import type { Task } from "../tasks/task.ts";
import { leaveOutOverlong } from "../train/overlong.ts";
import type { Sources } from "../train/sources.ts";
import { note } from "./output.ts";
import { shipped } from "./shipped.ts";

export { note, print, write } from "./output.ts";

export const files = nodeFiles;

/** Exit code of a command that was interrupted and can go on: 128 and the number of SIGINT. */
export const INTERRUPTED = 130;

/** Opens the adapter that `--device.adapter` or PITH_ADAPTER asks for; that of the GPU at a PCI address where one is given. */
export async function openGpu(adapter: string | undefined, pci?: string): Promise<DeviceGpu> {
  try {
    return await openHostGpu(adapter, undefined, note, pci);
  } catch (error) {
    if (error instanceof GpuUnavailableError) throw error;
    throw new GpuUnavailableError(`the GPU driver failed: ${(error as Error).message}`, { cause: error });
  }
}

/** How the hub is reached, by huggingface_hub's variables: HF_TOKEN for what is gated or private, HF_ENDPOINT for a mirror. */
function hubAccess(): HubOptions {
  const hubUrl = process.env["HF_ENDPOINT"]?.replace(/\/+$/, "");
  if (hubUrl && !URL.canParse(hubUrl))
    throw new UsageError(`HF_ENDPOINT: expected a URL such as https://huggingface.co, got ${hubUrl}`);
  return { token: process.env["HF_TOKEN"]?.trim(), hubUrl, onProgress: noteDownload };
}

const noteDownload = ({ file, doneBytes, totalBytes }: DownloadProgress): void =>
  note(`downloading ${file} (${Math.floor((100 * doneBytes) / totalBytes)}% of ${bytes(totalBytes)} done)`);

/** Seconds that reading a parquet file may take: several GB of one. */
const PARQUET_DEADLINE_S = 600;

/** Data sets by path or hub id. */
export const dataHost: DataHost = {
  files,
  dataFiles: (name) => resolveDataFiles(files, name, hubAccess()),
  readParquet: (bytes, path) => parquetRowsInThread(bytes, path, PARQUET_DEADLINE_S),
};

/** The folder of a model: as given, one of those that Pith ships, or the cached files of a hub id. */
export async function modelFolder(path: string): Promise<string> {
  const isShipped = !(await files.exists(path)) && (await files.exists(shipped(path)));
  return isShipped ? shipped(path) : resolveModelDir(files, path, hubAccess());
}

/** Seconds that a hostile tokenizer may take over a text. */
const TOKENIZER_DEADLINE_S = 10;

export const openTokenizer = (dir: string): Promise<Tokenizer> =>
  loadTokenizer(files, dir, deadline(TOKENIZER_DEADLINE_S));
/** Where a model lies: its folder, and that of an adapter over it where the path is one's. */
export interface ModelFolders {
  modelDir: string;
  adapterDir: string | null;
}

/** The folders of a model or of an adapter, whose base is where its configuration says, seen from its own folder or from here. */
export async function modelFolders(path: string): Promise<ModelFolders> {
  const dir = await modelFolder(path);
  if (!(await files.exists(`${dir}/${ADAPTER_CONFIG}`))) return { modelDir: dir, adapterDir: null };
  const { baseModel } = await readAdapterConfig(files, dir);
  if (baseModel === null)
    throw new FormatError(`${dir}/${ADAPTER_CONFIG}: expected base_model_name_or_path to name a model, got none`);
  const beside = `${dir}/${baseModel}`;
  const modelDir = (await files.exists(`${beside}/config.json`)) ? beside : await modelFolder(baseModel);
  return { modelDir, adapterDir: dir };
}

/** The model of these folders, with the adapter where there is one. */
export async function loadModel(gpu: Gpu, { modelDir, adapterDir }: ModelFolders, dtype: ModelDType): Promise<Model> {
  const base = await Model.load(gpu, files, modelDir, { dtype });
  return adapterDir === null ? base : LoraModel.loadAdapter(base, files, adapterDir);
}

/** Problems that a message names, of many. */
const NAMED = 10;

/** Problems whose prompts leave no room for a response are left out, and named. */
export async function openSources({ model, task, engine }: Config): Promise<Sources> {
  const { modelDir, adapterDir } = await modelFolders(model.path);
  const shape = await readModelConfig(files, modelDir);
  const tokenizer = await openTokenizer(modelDir);
  const limit = Math.min(engine.max_model_len ?? Infinity, shape.maxPositionEmbeddings);
  const { task: fitting, overlong } = leaveOutOverlong(await openTask({ task }), tokenizer, limit);
  if (overlong.length > 0) {
    const named = overlong.slice(0, NAMED).map(({ id, tokens }) => `${id} (${tokens})`);
    if (overlong.length > NAMED) named.push("...");
    note(`left out: ${overlong.length} prompts of ${limit} tokens or more, the context's length: ${named.join(", ")}`);
  }
  return {
    modelDir,
    adapterDir,
    tokenizer,
    stopTokenIds: await stopTokenIds(files, modelDir, shape, tokenizer),
    task: fitting,
    overlong,
  };
}

/** A module of the user's, by its path. */
export const importModule = (path: string): Promise<unknown> => import(pathToFileURL(path).href);

/** The task's problems alone, without a model. */
export const openTask = ({ task }: Pick<Config, "task">): Promise<Task> =>
  loadTask(task.name, task, {
    ...dataHost,
    importModule,
  });

let interrupt: AbortSignal | null = null;

/** The process's one signal that aborts at the first Ctrl-C or SIGTERM; a second one ends the process at once. */
export function interruptSignal(): AbortSignal {
  if (interrupt) return interrupt;
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => {
      note("interrupted: stopping where the run can go on from (again to stop at once)");
      controller.abort(new Interrupted("interrupted; the same command goes on"));
    });
  }
  interrupt = controller.signal;
  return interrupt;
}

/** The user asked to stop; nothing is wrong. */
class Interrupted extends PithError {
  override readonly exitCode = INTERRUPTED;
}

/** Seconds as 45s, 3m20s or 2h05m. */
export function duration(seconds: number): string {
  const s = Math.round(seconds);
  if (s < 60) return `${s}s`;
  const m = Math.floor(s / 60);
  return m < 60
    ? `${m}m${String(s % 60).padStart(2, "0")}s`
    : `${Math.floor(m / 60)}h${String(m % 60).padStart(2, "0")}m`;
}

/** Decimal units, as adapters are sold. */
export const bytes = (n: number): string => (n >= 1e9 ? `${(n / 1e9).toFixed(2)} GB` : `${(n / 1e6).toFixed(2)} MB`);
