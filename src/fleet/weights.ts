import { createHash } from "node:crypto";
import { FormatError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import type { Files } from "../runtime/types.ts";
import type { Announcement, WeightFile } from "./announcement.ts";
import type { Fleet } from "./connection.ts";

/** Bytes that are in memory at a time. */
const PIECE = 2 ** 23;
/** Times that a file is fetched before its hash is believed to be wrong at the source. */
const TRIES = 3;

const objectName = (run: string, sha256: string): string => `${run}/${sha256}`;

/** A name for a set of files by what they hold. */
const digestOf = (files: readonly WeightFile[]): string =>
  createHash("sha256")
    .update(files.map(({ name, sha256 }) => `${name} ${sha256}\n`).join(""))
    .digest("hex");

/** Writes the model to `dir` and puts its files into the fleet's store, those that are there already left out. */
export async function publishWeights(
  { weights: store }: Fleet,
  run: string,
  model: Model,
  files: Files,
  dir: string,
): Promise<{ weights: string; files: WeightFile[] }> {
  await files.remove(dir);
  await model.save(files, dir);
  const listed: WeightFile[] = [];
  for (const name of await files.list(dir)) listed.push({ name, ...(await hashed(files, `${dir}/${name}`)) });
  for (const { name, sha256 } of listed) {
    const object = objectName(run, sha256);
    const there = await store.info(object);
    if (there && !there.deleted) continue;
    await store.put({ name: object }, streamOf(pieces(files, `${dir}/${name}`)), { timeout: 30_000 });
  }
  await files.remove(dir);
  return { weights: digestOf(listed), files: listed };
}

/** Removes the run's files that none of `kept` names. */
export async function pruneWeights(
  { weights: store }: Fleet,
  run: string,
  kept: readonly Pick<Announcement, "files">[],
): Promise<void> {
  const names = new Set(kept.flatMap(({ files }) => files.map(({ sha256 }) => objectName(run, sha256))));
  for (const { name } of await store.list()) {
    if (name.startsWith(`${run}/`) && !names.has(name)) await store.delete(name);
  }
}

/**
 * The folder of the announced weights under `cache`, fetched if it is not there. A file that is cut or has another hash is fetched
 * anew.
 *
 * @throws FormatError where the files stay other than announced
 */
export async function fetchWeights(
  { weights: store }: Fleet,
  run: string,
  announced: Pick<Announcement, "weights" | "files">,
  files: Files,
  cache: string,
  own: string,
): Promise<string> {
  const dir = `${cache}/${announced.weights}`;
  if (digestOf(announced.files) !== announced.weights)
    throw new FormatError(
      `run ${run}: expected its files to come to ${announced.weights}, got ${digestOf(announced.files)}`,
    );
  if (await files.exists(dir)) return dir;
  const aside = `${cache}/.unfinished_${own}`;
  await files.remove(aside);
  await files.mkdir(aside);
  for (const file of announced.files) await fetchFile(store, run, file, files, `${aside}/${file.name}`);
  await files.rename(aside, dir).catch(async (error: unknown) => {
    if (!(await files.exists(dir))) throw error; // otherwise another worker of this machine was quicker
    await files.remove(aside);
  });
  return dir;
}

async function fetchFile(
  store: Fleet["weights"],
  run: string,
  { name, bytes, sha256 }: WeightFile,
  files: Files,
  path: string,
): Promise<void> {
  let why = "";
  for (let tries = 0; tries < TRIES; tries++) {
    const found = await store.get(objectName(run, sha256));
    if (!found) throw new Error(`expected ${name} (${sha256}) in the fleet's store, got nothing`);
    const broken = await writeStream(files, path, found.data);
    if (broken) {
      why = broken.message;
      continue;
    }
    const got = await hashed(files, path);
    if (got.sha256 === sha256 && got.bytes === bytes) return;
    why = `${got.bytes} bytes of SHA-256 ${got.sha256}`;
  }
  throw new FormatError(`run ${run}, ${name}: expected ${bytes} bytes of SHA-256 ${sha256}, got ${why}`);
}

/** What broke the stream, null where it came whole; a disk that fails is an error. */
async function writeStream(files: Files, path: string, data: AsyncIterable<Uint8Array>): Promise<Error | null> {
  let broken: Error | null = null;
  async function* watched() {
    try {
      yield* data;
    } catch (error) {
      broken = error as Error;
    }
  }
  await files.write(path, watched());
  return broken;
}

async function hashed(files: Files, path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const piece of pieces(files, path)) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { bytes, sha256: hash.digest("hex") };
}

const streamOf = (source: AsyncGenerator<Uint8Array>) =>
  new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const { value, done } = await source.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });

async function* pieces(files: Files, path: string): AsyncGenerator<Uint8Array> {
  const size = await files.size(path);
  for (let start = 0; start < size; start += PIECE)
    yield await files.readRange(path, start, Math.min(size, start + PIECE));
}
