/** The same in a page: the model's files lie beside it in model/, and nothing is written. */
import { FormatError, type Files } from "pith";
import { openGpu } from "pith/web";
import { train } from "../train.ts";

async function get(path: string): Promise<Response> {
  const response = await fetch(path);
  if (!response.ok) throw new FormatError(`${path}: expected a file, got status ${response.status}`);
  return response;
}

const readOnly = () => Promise.reject(new FormatError("this page's files cannot be written"));

const bytes = async (path: string) => new Uint8Array(await (await get(path)).arrayBuffer());

const files: Files = {
  read: bytes,
  readText: async (path) => (await get(path)).text(),
  readRange: async (path, start, end) => (await bytes(path)).subarray(start, end),
  size: async (path) => (await bytes(path)).length,
  exists: async (path) => (await fetch(path, { method: "HEAD" })).ok,
  list: () => Promise.resolve([]),
  write: readOnly,
  append: readOnly,
  sync: readOnly,
  truncate: readOnly,
  mkdir: readOnly,
  rename: readOnly,
  remove: readOnly,
};

const log = document.querySelector("#log")!;
await train(await openGpu(), files, "model", (line) => log.append(`${line}\n`));
