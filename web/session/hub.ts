import { PithError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { boundedFetch, checkEntry, HUB_ID, NEEDED } from "../../src/hf/hub.ts";
import { readModelConfig } from "../../src/model/model.ts";
import type { Files } from "../../src/runtime/types.ts";
import { checkLimits, type OnProgress } from "./own.ts";

const HUB = "https://huggingface.co";

export interface Hub {
  url?: string;
  /** Bytes that the store can still take. */
  room: () => Promise<number>;
}

type Entry = Parameters<typeof checkEntry>[0];

/**
 * Downloads what the store lacks of a repository's model, config.json first: a model that cannot run here is refused before the
 * rest. Returns its folder.
 */
export async function downloadModel(
  files: Files,
  gpu: Gpu,
  id: string,
  { url = HUB, room }: Hub,
  onProgress: OnProgress,
): Promise<string> {
  if (!HUB_ID.test(id))
    throw new PithError(`${id}: expected a hub id such as HuggingFaceTB/SmolLM2-135M-Instruct, got something else`);
  const dir = `hub/${id.replace("/", "--")}`;
  const fetch = boundedFetch();
  const get = (path: string) => answer(fetch, `${url}/${path}`, id);
  const listed = (await (await get(`api/models/${id}/tree/main`)).json()) as Entry[];
  const needed = listed.filter(({ path }) => NEEDED.test(path)).sort((a, b) => a.size - b.size);
  for (const entry of needed) checkEntry(entry);
  if (!needed.some(({ path }) => path === "config.json"))
    throw new PithError(`${id}: expected a config.json, got none: it is not a model for transformers`);
  const missing: Entry[] = [];
  for (const entry of needed) if (!(await isKept(files, `${dir}/${entry.path}`, entry.size))) missing.push(entry);
  const total = missing.reduce((sum, { size }) => sum + size, 0);
  const most = await room();
  if (total > most) throw new PithError(`${id}: expected at most ${most} bytes (this browser's storage), got ${total}`);

  let done = 0;
  const fetchFile = async ({ path, size }: Entry) => {
    const { body } = await get(`${id}/resolve/main/${path}`);
    const count = (bytes: number) => onProgress(path, (done += bytes), total);
    await files.write(`${dir}/${path}`, pieces(body!, size, path, count));
  };
  const [config, rest] = [missing.filter(isConfig), missing.filter((entry) => !isConfig(entry))];
  for (const entry of config) await fetchFile(entry);
  checkLimits(await readModelConfig(files, dir), gpu, id);
  for (const entry of rest) await fetchFile(entry);
  return dir;
}

const isConfig = ({ path }: Entry): boolean => path === "config.json";

const isKept = async (files: Files, path: string, size: number): Promise<boolean> =>
  (await files.exists(path)) && (await files.size(path)) === size;

async function answer(fetch: typeof globalThis.fetch, url: string, id: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    if (error instanceof PithError) throw error;
    throw new PithError(`${id}: huggingface.co cannot be reached; go online, or drop the model's folder`, {
      cause: error,
    });
  }
  if (!response.ok)
    throw new PithError(`${id}: the hub has no such model for everyone (status ${response.status}); check the name`);
  return response;
}

/** The body as it comes; one of another length than was said is not a file. */
async function* pieces(
  body: ReadableStream<Uint8Array>,
  size: number,
  path: string,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  let got = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    got += value.length;
    yield value;
    onBytes(value.length);
  }
  if (got !== size)
    throw new PithError(`the hub's copy of ${path} broke off: expected ${size} bytes, got ${got}; try again`);
}
