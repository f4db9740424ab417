import type { ListFileEntry } from "@huggingface/hub";
import { PithError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";

/** `owner/name` as on the hub; neither part starts with a dot, so `../name` is a path. */
export const HUB_ID = /^\w[\w.-]*\/\w[\w.-]*$/;

/** What a model needs of its repository: settings, tokenizer and safetensors, not the same weights in other formats. */
export const NEEDED =
  /^(config|generation_config|adapter_config|tokenizer|tokenizer_config|special_tokens_map|chat_template|model\.safetensors\.index)\.json$|^chat_template\.jinja$|^(adapter_)?model(-\d+-of-\d+)?\.safetensors$/;

/** Bounds on what a server may say: files listed and fetched, questions, and bytes of an answer. */
const MOST_FILES = 100_000;
const MOST_DOWNLOADS = 2_000;
const MOST_ANSWER_BYTES = 64 * 2 ** 20;
const MOST_QUESTIONS = 5_000;
/** How long an answer may take in all, and how long a server may say nothing that is waited for. */
const LIMITS = { answerMs: 60_000, silenceMs: 15_000 };

export interface HubOptions {
  /** For gated and private repositories. */
  token?: string | undefined;
  /** Where snapshots are kept; the Hugging Face cache (HF_HOME) by default. */
  cacheDir?: string | undefined;
  /** A mirror of the hub, without a slash at its end. */
  hubUrl?: string | undefined;
  /** Ends the download; what is whole by then stays in the cache. */
  signal?: AbortSignal | undefined;
  /** Called before each file that is not in the cache. */
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
  const { dir } = await snapshot(files, { type: "model", name }, "main", options, (all) => {
    const needed = all.filter((path) => NEEDED.test(path));
    if (!needed.includes("config.json") && !needed.includes("adapter_config.json"))
      throw new PithError(`the hub's repository holds no config.json: it is not a model for transformers`);
    return needed;
  });
  return dir;
}

/** `owner/name`, a folder of it where it holds several sets, and a split: openai/gsm8k/main:test. */
const DATASET = /^(\w[\w.-]*\/\w[\w.-]*)((?:\/\w[\w.-]*)*)(?::([\w.-]+))?$/;
const DATA_FILE = /\.(parquet|jsonl|json)$/;

/**
 * The files of a data set: `name` itself where it is a file, otherwise those of a split ("train" where none is named) of a hub
 * repository, downloaded into the cache unless they are there. Without a network, those that an earlier call completed.
 */
export async function resolveDataFiles(files: Files, name: string, options: HubOptions = {}): Promise<string[]> {
  const match = DATASET.exec(name);
  if (!match || DATA_FILE.test(name) || (await files.exists(name))) return [name];
  const [, repo = "", folder = "", split = "train"] = match;
  // Each split is downloaded by itself, so each has its own mark that it is whole.
  const ref = `pith${folder}/${split}`;
  const { dir, paths } = await snapshot(files, { type: "dataset", name: repo }, ref, options, (all) =>
    splitFiles(all, repo, folder, split),
  );
  return paths.map((path) => `${dir}/${path}`);
}

/** Those of a repository's files that hold a split: train.jsonl, data/train-00000-of-00002.parquet, train/0000.parquet. */
function splitFiles(all: readonly string[], repo: string, folder: string, split: string): string[] {
  const prefix = folder === "" ? "" : `${folder.slice(1)}/`;
  const inSplit = (path: string) =>
    path.split("/").some((part) => part === split || part.startsWith(`${split}-`) || part.startsWith(`${split}.`));
  const data = all.filter((path) => path.startsWith(prefix) && DATA_FILE.test(path));
  const found = data.filter((path) => inSplit(path.slice(prefix.length)));
  // The same rows may be there in several formats.
  const format = ["parquet", "jsonl", "json"].find((extension) => found.some((path) => path.endsWith(`.${extension}`)));
  const chosen = found.filter((path) => path.endsWith(`.${format}`)).sort();
  const folders = [...new Set(chosen.map((path) => path.slice(0, path.lastIndexOf("/") + 1)))];
  if (chosen.length === 0)
    throw new PithError(
      `the repository holds no parquet, jsonl or json file of a split ${split}${folder === "" ? "" : ` in ${folder.slice(1)}`}; name another as ${repo}:SPLIT (its data files: ${data.slice(0, 8).join(", ") || "none"})`,
    );
  if (folders.length > 1)
    throw new PithError(
      `the repository holds several sets (${folders.join(", ")}); name one, such as ${repo}/${folders[0]!.slice(0, -1)}:${split}`,
    );
  return chosen;
}

interface Repository {
  type: "model" | "dataset";
  name: string;
}

interface Snapshot {
  dir: string;
  /** Of a data set: the files in it that were asked for. */
  paths: string[];
}

/**
 * The folder of a repository's main revision with the files that `needed` chooses of all its paths. `ref` names the choice in
 * the cache.
 */
async function snapshot(
  files: Files,
  repo: Repository,
  ref: string,
  options: HubOptions,
  needed: (all: string[]) => string[],
): Promise<Snapshot> {
  // Node only, and of no use to a run that has its files: loaded when first needed.
  const { getHFHubCachePath, getRepoFolderName } = await import("@huggingface/hub");
  const cacheDir = options.cacheDir ?? getHFHubCachePath();
  const repoDir = `${cacheDir}/${getRepoFolderName(repo)}`;
  try {
    return await download(files, repo, repoDir, ref, { ...options, cacheDir }, needed);
  } catch (error) {
    const kept = isUnavailable(error) ? await keptSnapshot(files, repoDir, ref) : null;
    if (kept !== null) return kept;
    throw new PithError(
      `${repo.name}: no such ${repo.type === "model" ? "folder" : "file"} here, and ${reasonOf(error, repo.type)}`,
      { cause: error },
    );
  }
}

async function download(
  files: Files,
  repo: Repository,
  repoDir: string,
  ref: string,
  { token, hubUrl, onProgress, cacheDir, signal }: HubOptions,
  needed: (all: string[]) => string[],
): Promise<Snapshot> {
  const { modelInfo, datasetInfo, listFiles, downloadFileToCacheDir } = await import("@huggingface/hub");
  const fetch = boundedFetch(signal);
  const access = { fetch, ...(token ? { accessToken: token } : {}), ...(hubUrl ? { hubUrl } : {}) };
  const query = { name: repo.name, additionalFields: ["sha" as const], revision: "main", ...access };
  const { sha: commit } = await (repo.type === "model" ? modelInfo(query) : datasetInfo(query));
  checkHash(commit, "a commit");
  const entries = new Map<string, ListFileEntry>();
  // A model lies in its repository's first level, a data set's files in folders.
  const recursive = repo.type === "dataset";
  let listed = 0;
  for await (const entry of listFiles({ repo, revision: commit, recursive, ...access })) {
    if (++listed > MOST_FILES) throw new PithError(`the hub lists more than ${MOST_FILES} files in the repository`);
    if (entry?.type === "file") entries.set(entry.path, entry);
  }
  const paths = needed([...entries.keys()]);
  for (const path of paths) checkEntry(entries.get(path)!);
  if (paths.length > MOST_DOWNLOADS)
    throw new PithError(`the hub lists ${paths.length} files to download, expected at most ${MOST_DOWNLOADS}`);
  const totalBytes = paths.reduce((sum, path) => sum + entries.get(path)!.size, 0);
  let doneBytes = 0;
  for (const path of paths) {
    const { size, oid, lfs, xetHash } = entries.get(path)!;
    const local = `${repoDir}/snapshots/${commit}/${path}`;
    if (!(await files.exists(local))) onProgress?.({ file: path, doneBytes, totalBytes });
    await downloadFileToCacheDir({ repo, path, revision: commit, cacheDir, ...access });
    const got = await files.size(local);
    if (got !== size) {
      // Out of the cache, so that the next call does not take it for the file.
      await files.remove(`${repoDir}/blobs/${lfs?.oid ?? xetHash ?? oid}`);
      await files.remove(local);
      throw new PithError(`the hub's copy of ${path} broke off: expected ${size} bytes, got ${got}; run again`);
    }
    doneBytes += size;
  }
  // Last: a snapshot that is named here is whole.
  const mark = `${repoDir}/refs/${ref}`;
  await files.mkdir(mark.slice(0, mark.lastIndexOf("/")));
  const chosen = repo.type === "dataset" ? paths : [];
  await files.write(mark, [commit, ...chosen].join("\n"));
  return { dir: `${repoDir}/snapshots/${commit}`, paths: chosen };
}

type FileEntry = Pick<ListFileEntry, "path" | "size" | "oid" | "lfs" | "xetHash">;

/** What a server says is a part of paths in the cache, so nothing is taken that could lead out of it. */
export function checkEntry({ path, size, oid, lfs, xetHash }: FileEntry): void {
  const parts = path.split("/");
  if (!parts.every((part) => /^[\w][\w.+=@ -]*$/.test(part)))
    throw new PithError(
      `the hub lists a file of the name ${JSON.stringify(path).slice(0, 80)}, which is no path within a repository`,
    );
  if (!Number.isSafeInteger(size) || size < 0)
    throw new PithError(`the hub gives ${path} a size of ${String(size)} bytes`);
  for (const hash of [oid, lfs?.oid, xetHash]) if (hash !== undefined) checkHash(hash, path);
}

function checkHash(hash: unknown, what: string): void {
  if (typeof hash !== "string" || !/^[0-9a-f]{40,64}$/.test(hash))
    throw new PithError(
      `the hub names ${what} by ${(JSON.stringify(hash) ?? "nothing").slice(0, 80)}, expected a hash of 40 to 64 hexadecimal digits`,
    );
}

/**
 * fetch that gives up on a server that says nothing while it is waited for, or answers a question about files without end, and
 * that takes no tag for a file but a hash: the cache's file is named by it. Files and their pieces may take as long as they need.
 */
export function boundedFetch(signal?: AbortSignal, limits = LIMITS): typeof fetch {
  let hub: string | undefined;
  let questions = 0;
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const isFile = url.pathname.includes("/resolve/");
    const isQuestion = url.pathname.startsWith("/api/");
    if (isQuestion) {
      // The list's next page is where the server says: not at another's, who would be told the token.
      hub ??= url.origin;
      if (url.origin !== hub) throw new PithError(`the hub sends the list of its files on to ${url.origin}`);
      if (++questions > MOST_QUESTIONS)
        throw new PithError(`the hub's list of files has more than ${MOST_QUESTIONS} pages`);
    }
    const silence = new AbortController();
    const heard = async <T>(words: Promise<T>): Promise<T> => {
      const nothing = new PithError(`the hub said nothing for ${limits.silenceMs / 1000} s`);
      const timer = setTimeout(() => silence.abort(nothing), limits.silenceMs);
      try {
        return await words;
      } catch (error) {
        throw silence.signal.aborted ? silence.signal.reason : error;
      } finally {
        clearTimeout(timer);
      }
    };
    const signals = [silence.signal, ...(signal ? [signal] : []), ...(init?.signal ? [init.signal] : [])];
    const response = await heard(fetch(input, { ...init, signal: AbortSignal.any(signals) }));
    const { body, status, statusText, headers } = response;
    const tag = headers.get("x-linked-etag") ?? headers.get("etag");
    if (isFile && tag !== null && response.ok) checkHash(tag.replace(/^W\//, "").replaceAll('"', ""), "a file");
    if (body === null) return response;
    const isBounded = isQuestion || (!isFile && (headers.get("content-type") ?? "").includes("json"));
    const start = performance.now();
    let bytes = 0;
    const reader = body.getReader();
    // Silence counts only while more is asked for: what reads this may take its time.
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { done, value } = await heard(reader.read());
        if (done) return controller.close();
        bytes += value.length;
        if (isBounded && (bytes > MOST_ANSWER_BYTES || performance.now() - start > limits.answerMs)) {
          await reader.cancel();
          throw new PithError(`the hub's answer does not end (${bytes} bytes so far)`);
        }
        controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    });
    const copy = new Response(stream, { status, statusText, headers });
    Object.defineProperty(copy, "url", { value: response.url });
    return copy;
  };
}

async function keptSnapshot(files: Files, repoDir: string, ref: string): Promise<Snapshot | null> {
  const mark = `${repoDir}/refs/${ref}`;
  if (!(await files.exists(mark))) return null;
  const [sha, ...paths] = (await files.readText(mark)).trim().split("\n");
  const dir = `${repoDir}/snapshots/${sha}`;
  return (await files.exists(dir)) ? { dir, paths } : null;
}

/** fetch's own error where no answer came; the hub's answers are errors with a status. */
const isOffline = (error: unknown): boolean => error instanceof TypeError && error.message === "fetch failed";

const statusOf = (error: unknown): number => (error as { statusCode?: number }).statusCode ?? 0;

/** Whether the hub may have the files and only cannot say so now. */
const isUnavailable = (error: unknown): boolean => isOffline(error) || statusOf(error) >= 500;

function reasonOf(error: unknown, type: Repository["type"]): string {
  if (error instanceof PithError) return error.message;
  if (isOffline(error))
    return "the Hugging Face hub cannot be reached; go online, or copy its files here and give their path";
  const status = statusOf(error);
  if (status === 401 || status === 403 || status === 404)
    return `the hub has no such ${type} for you (status ${status}); check the name, and set HF_TOKEN for a gated or private one`;
  // What breaks off a file's stream is thrown as text.
  const message = error instanceof Error ? error.message : String(error);
  return `the download from the hub failed: ${message.split("\n")[0]}; run again`;
}
