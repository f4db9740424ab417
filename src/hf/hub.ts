import { PithError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";

/** `owner/name` as on the hub; neither part starts with a dot, so `../name` is a path. */
const HUB_ID = /^\w[\w.-]*\/\w[\w.-]*$/;

/** What a model needs of its repository: settings, tokenizer and safetensors, not the same weights in other formats. */
const NEEDED =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|chat_template|model\.safetensors\.index)\.json$|^chat_template\.jinja$|^model(-\d+-of-\d+)?\.safetensors$/;

export interface HubOptions {
  /** For gated and private repositories (HF_TOKEN). */
  token?: string | undefined;
  /** Where snapshots are kept; the Hugging Face cache (HF_HOME) by default. */
  cacheDir?: string | undefined;
  /** A mirror of the hub. */
  hubUrl?: string | undefined;
  /** Called before each file. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

export interface DownloadProgress {
  file: string;
  /** Bytes of the files before this one, and of all files. */
  doneBytes: number;
  totalBytes: number;
}

/**
 * A model's folder: `name` itself where it is one, otherwise the snapshot of a hub repository's main revision, downloaded into
 * the cache unless it is there. Without a network, the snapshot that an earlier call completed.
 */
export async function resolveModelDir(files: Files, name: string, options: HubOptions = {}): Promise<string> {
  if (await files.exists(name)) return name;
  if (!HUB_ID.test(name))
    throw new PithError(
      `${name}: expected a model's folder or a hub id such as Qwen/Qwen2.5-0.5B-Instruct, got neither`,
    );
  // Node only, and of no use to a run that has its model: loaded when first needed.
  const { getHFHubCachePath, getRepoFolderName } = await import("@huggingface/hub");
  const cacheDir = options.cacheDir ?? getHFHubCachePath();
  const repoDir = `${cacheDir}/${getRepoFolderName({ type: "model", name })}`;
  try {
    return await download(files, name, repoDir, { ...options, cacheDir });
  } catch (error) {
    const kept = isOffline(error) ? await keptSnapshot(files, repoDir) : null;
    if (kept !== null) return kept;
    throw new PithError(`${name}: no such folder here, and ${reasonOf(error)}`, { cause: error });
  }
}

async function download(
  files: Files,
  name: string,
  repoDir: string,
  { token, hubUrl, onProgress, cacheDir }: HubOptions,
): Promise<string> {
  const { modelInfo, listFiles, downloadFileToCacheDir } = await import("@huggingface/hub");
  const access = { ...(token ? { accessToken: token } : {}), ...(hubUrl ? { hubUrl } : {}) };
  const { sha } = await modelInfo({ name, additionalFields: ["sha"], revision: "main", ...access });
  const needed: { path: string; size: number }[] = [];
  for await (const { type, path, size } of listFiles({ repo: name, revision: sha, ...access })) {
    if (type === "file" && NEEDED.test(path)) needed.push({ path, size });
  }
  if (!needed.some(({ path }) => path === "config.json"))
    throw new PithError(`the hub's repository holds no config.json: it is not a model for transformers`);
  const totalBytes = needed.reduce((sum, { size }) => sum + size, 0);
  let doneBytes = 0;
  for (const { path, size } of needed) {
    onProgress?.({ file: path, doneBytes, totalBytes });
    await downloadFileToCacheDir({ repo: name, path, revision: sha, cacheDir, ...access });
    doneBytes += size;
  }
  // Last: a snapshot that is named here is whole.
  await files.mkdir(`${repoDir}/refs`);
  await files.write(`${repoDir}/refs/main`, sha);
  return `${repoDir}/snapshots/${sha}`;
}

async function keptSnapshot(files: Files, repoDir: string): Promise<string | null> {
  if (!(await files.exists(`${repoDir}/refs/main`))) return null;
  const dir = `${repoDir}/snapshots/${(await files.readText(`${repoDir}/refs/main`)).trim()}`;
  return (await files.exists(`${dir}/config.json`)) ? dir : null;
}

/** fetch's own error where no answer came; the hub's answers are errors with a status. */
const isOffline = (error: unknown): boolean => error instanceof TypeError && error.message === "fetch failed";

function reasonOf(error: unknown): string {
  if (error instanceof PithError) return error.message;
  if (isOffline(error))
    return "the Hugging Face hub cannot be reached; go online, or copy the model's folder here and give its path";
  const status = (error as { statusCode?: number }).statusCode;
  if (status === 401 || status === 403 || status === 404)
    return `the hub has no such model for you (status ${status}); check the name, and set HF_TOKEN for a gated or private one`;
  return `the download from the hub failed: ${(error as Error).message.split("\n")[0]}`;
}
