import { createHash } from "node:crypto";
import { FormatError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import type { Files } from "../runtime/types.ts";
import type { Announcement, WeightFile } from "./announcement.ts";
import type { Fleet } from "./connection.ts";
import { applyDelta, deltaOf, pieces } from "./delta.ts";
import { readObject } from "./objects.ts";

/** Times that a file is fetched before its hash is believed to be wrong at the source. */
const TRIES = 3;

const objectName = (run: string, sha256: string): string => `${run}/${sha256}`;

/** Files by what they hold, for whoever has them under their name. */
export type Weights = Pick<Announcement, "weights" | "files" | "base">;

/** A name for a set of files by what they hold. */
const digestOf = ({ files, base }: Omit<Weights, "weights">): string =>
  createHash("sha256")
    .update(base ? `base ${base.weights}\n` : "")
    .update(files.map(({ name, sha256 }) => `${name} ${sha256}\n`).join(""))
    .digest("hex");

/** Of a file's bytes; a delta that is larger saves too little. */
const WORTH = 0.5;

/** A version's files on a disk. */
export interface LocalVersion {
  dir: string;
  files: readonly WeightFile[];
}

/**
 * Writes the model into a folder of `dir` and puts its files into the fleet's store, those that are there already left out: whole, for
 * who comes late, and as what changed since `before`, where that is much less. `base`: what adapters are beside, published before.
 */
export async function publishWeights(
  { weights: store }: Fleet,
  run: string,
  model: Pick<Model, "save">,
  files: Files,
  dir: string,
  { before = null, base }: { before?: LocalVersion | null; base?: Weights | undefined } = {},
): Promise<Weights & { dir: string }> {
  const own = `${dir}/${before?.dir.endsWith("/a") ? "b" : "a"}`;
  const aside = `${dir}/delta`;
  await files.remove(own);
  await model.save(files, own);
  const listed: WeightFile[] = [];
  const put = async (path: string, sha256: string) => {
    const object = objectName(run, sha256);
    const there = await store.info(object);
    if (there && !there.deleted) return;
    await store.put({ name: object }, streamOf(pieces(files, path)), { timeout: 30_000 });
  };
  for (const name of await files.list(own)) {
    const path = `${own}/${name}`;
    const file: WeightFile = { name, ...(await hashed(files, path)) };
    await put(path, file.sha256);
    const base = before?.files.find((other) => other.name === name && other.bytes === file.bytes);
    if (base && base.sha256 !== file.sha256) {
      await files.write(aside, deltaOf(files, `${before!.dir}/${name}`, path));
      const delta = { base: base.sha256, ...(await hashed(files, aside)) };
      if (delta.bytes < WORTH * file.bytes) {
        await put(aside, delta.sha256);
        file.delta = delta;
      }
    }
    listed.push(file);
  }
  await files.remove(aside);
  const version = { files: listed, ...(base && { base: { weights: base.weights, files: base.files } }) };
  return { weights: digestOf(version), ...version, dir: own };
}

/** Removes the run's files that none of `kept` names. */
export async function pruneWeights(
  { weights: store }: Fleet,
  run: string,
  kept: readonly Pick<Announcement, "files" | "base" | "reference">[],
): Promise<void> {
  const there = kept.flatMap(({ files, base, reference }) => [files, base?.files ?? [], reference?.files ?? []].flat());
  const hashes = there.flatMap(({ sha256, delta }) => [sha256, delta?.sha256 ?? sha256]);
  const names = new Set(hashes.map((sha256) => objectName(run, sha256)));
  for (const { name } of await store.list()) {
    if (name.startsWith(`${run}/`) && !names.has(name)) await store.delete(name);
  }
}

/**
 * The folder of the announced weights under `cache`, fetched if it is not there: of what is already in `before`, only the change. A file
 * that is cut or has another hash is fetched anew, whole. It comes into `aside`, a folder beside it that is this worker's alone.
 *
 * @throws FormatError where the files stay other than announced
 */
export async function fetchWeights(
  fleet: Fleet,
  run: string,
  announced: Weights,
  files: Files,
  cache: string,
  aside: string,
  before: LocalVersion | null = null,
): Promise<string> {
  const dir = `${cache}/${announced.weights}`;
  if (digestOf(announced) !== announced.weights)
    throw new FormatError(`run ${run}: expected its files to come to ${announced.weights}, got ${digestOf(announced)}`);
  if (await files.exists(dir)) return dir;
  await files.remove(aside);
  await files.mkdir(aside);
  for (const file of announced.files) {
    const path = `${aside}/${file.name}`;
    if (!before || !(await fetchChange(fleet, run, file, files, path, before)))
      await fetchFile(fleet, run, file, files, path);
  }
  await files.rename(aside, dir).catch(async (error: unknown) => {
    if (!(await files.exists(dir))) throw error; // otherwise another worker of this machine was quicker
    await files.remove(aside);
  });
  return dir;
}

async function fetchFile(fleet: Fleet, run: string, file: WeightFile, files: Files, path: string): Promise<void> {
  const { name, bytes, sha256 } = file;
  let why = "";
  for (let tries = 0; tries < TRIES; tries++) {
    const found = await readObject(fleet, objectName(run, sha256));
    if (!found) throw new Error(`expected ${name} (${sha256}) in the fleet's store, got nothing`);
    why = await wrongIn(files, path, found, file);
    if (why === "") return;
  }
  throw new FormatError(`run ${run}, ${name}: expected ${bytes} bytes of SHA-256 ${sha256}, got ${why}`);
}

/** Makes the file of the version before; false where that or the change is not there, or came otherwise than announced. */
async function fetchChange(
  fleet: Fleet,
  run: string,
  file: WeightFile,
  files: Files,
  path: string,
  { dir, files: there }: LocalVersion,
): Promise<boolean> {
  const { name, sha256, delta } = file;
  const base = there.find((other) => other.name === name)?.sha256;
  const old = `${dir}/${name}`;
  if (!(await files.exists(old))) return false;
  if (base === sha256) return (await wrongIn(files, path, pieces(files, old), file)) === "";
  if (!delta || base !== delta.base) return false;
  const found = await readObject(fleet, objectName(run, delta.sha256));
  return found !== null && (await wrongIn(files, path, applyDelta(files, old, found), file)) === "";
}

/** Writes what comes; what was wrong with it, "" where it is the file. */
async function wrongIn(
  files: Files,
  path: string,
  data: AsyncIterable<Uint8Array>,
  { bytes, sha256 }: WeightFile,
): Promise<string> {
  const broken = await writeStream(files, path, data);
  if (broken) return broken.message;
  const got = await hashed(files, path);
  return got.sha256 === sha256 && got.bytes === bytes ? "" : `${got.bytes} bytes of SHA-256 ${got.sha256}`;
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
