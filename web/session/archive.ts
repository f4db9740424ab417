import { createTarGzip, parseTar } from "nanotar";
import { FormatError } from "../../src/errors.ts";
import type { Files } from "../../src/runtime/types.ts";

/** A run's folder as one file: what `tar xzf` unpacks, and `pith report` and `pith generate RUN/model` read. */

/** What a run's folder may hold: nothing else is taken out of someone's file. */
const NAMES =
  /^(run\.json|config\.json|metrics\.jsonl|completions\.jsonl|frames\.jsonl|events\.out\.tfevents\.pith|(model|checkpoints\/step_\d{6})\/[\w.]+)$/;
/** Of an archive and of what it unpacks to: far above any run that a tab does. */
const MOST_BYTES = 512 * 2 ** 20;

export async function packFolder(files: Files, folder: string): Promise<Blob> {
  const items: { name: string; data: Uint8Array }[] = [];
  const add = async (path: string) => {
    const name = path.slice(folder.length + 1);
    if (NAMES.test(name)) items.push({ name, data: await files.read(path) });
    else if (!name.includes(".")) for (const entry of await files.list(path)) await add(`${path}/${entry}`);
  };
  await add(folder);
  return new Blob([(await createTarGzip(items)) as Uint8Array<ArrayBuffer>], { type: "application/gzip" });
}

/** The files of an archive that a run's folder may hold, by their paths in it. */
export async function unpackFolder(name: string, archive: Blob): Promise<Map<string, Uint8Array>> {
  const bytes = await gunzip(archive).catch((error: unknown) => {
    throw new FormatError(`${name}: expected a run that this page exported (.tar.gz), got something else`, {
      cause: error,
    });
  });
  const found = new Map<string, Uint8Array>();
  for (const { name: path, data, type } of parseTar(bytes))
    if (type === "file" && data && NAMES.test(path)) found.set(path, data);
  return found;
}

async function gunzip(archive: Blob): Promise<ArrayBuffer> {
  let size = 0;
  const bounded = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(chunk, controller) {
      size += chunk.length;
      if (size > MOST_BYTES) throw new FormatError(`expected at most ${MOST_BYTES} bytes, got more`);
      controller.enqueue(chunk);
    },
  });
  return new Response(archive.stream().pipeThrough(new DecompressionStream("gzip")).pipeThrough(bounded)).arrayBuffer();
}
