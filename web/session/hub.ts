import { PithError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { readModelConfig } from "../../src/model/model.ts";
import type { Store } from "../storage.ts";
import { checkLimits, type OnProgress } from "./own.ts";

const HUB = "https://huggingface.co";
const HUB_ID = /^\w[\w.-]*\/\w[\w.-]*$/;
const NEEDED =
  /^(config|generation_config|tokenizer|tokenizer_config|model\.safetensors\.index)\.json$|^chat_template\.jinja$|^model(-\d+-of-\d+)?\.safetensors$/;

/** Downloads a repository's model into the store, config.json first: a model that cannot run here is refused before the rest. */
export async function downloadModel(files: Store, gpu: Gpu, id: string, onProgress: OnProgress): Promise<string> {
  if (!HUB_ID.test(id))
    throw new PithError(`${id}: expected a hub id such as HuggingFaceTB/SmolLM2-135M-Instruct, got something else`);
  const dir = `hub/${id.replace("/", "--")}`;
  const listed = (await (await get(`${HUB}/api/models/${id}/tree/main`, id)).json()) as {
    path: string;
    size: number;
  }[];
  const needed = listed.filter(({ path }) => NEEDED.test(path)).sort((a, b) => a.size - b.size);
  const total = needed.reduce((sum, { size }) => sum + size, 0);
  if (!needed.some(({ path }) => path === "config.json"))
    throw new PithError(`${id}: expected a config.json, got none: it is not a model for transformers`);
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  if (total > quota - usage)
    throw new PithError(`${id}: expected at most ${quota - usage} bytes (this browser's storage), got ${total}`);

  let done = 0;
  const fetchFile = async (path: string) => {
    const { body } = await get(`${HUB}/${id}/resolve/main/${path}`, id);
    await files.write(
      `${dir}/${path}`,
      pieces(body!, (bytes) => onProgress(path, (done += bytes), total)),
    );
  };
  await fetchFile("config.json");
  checkLimits(await readModelConfig(files, dir), gpu, id);
  for (const { path, size } of needed) {
    if (path === "config.json") continue;
    const kept = (await files.exists(`${dir}/${path}`)) && (await files.size(`${dir}/${path}`)) === size;
    if (kept) done += size;
    else await fetchFile(path);
  }
  return dir;
}

async function get(url: string, id: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new PithError(`${id}: huggingface.co cannot be reached; go online, or drop the model's folder`, {
      cause: error,
    });
  }
  if (!response.ok)
    throw new PithError(`${id}: the hub has no such model for everyone (status ${response.status}); check the name`);
  return response;
}

async function* pieces(body: ReadableStream<Uint8Array>, onBytes: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
    onBytes(value.length);
  }
}
