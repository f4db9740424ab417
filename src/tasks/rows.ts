import { FormatError } from "../errors.ts";
import { parseJson } from "../hf/json.ts";
import type { Files } from "../runtime/types.ts";
import { parquetRows } from "./parquet.ts";

export type Row = Record<string, unknown>;

/** A data set: a file, or what `dataFiles` knows under its name. */
export interface DataHost {
  files: Files;
  /** The files of a data set, such as a split on the hub (resolveDataFiles in src/hf/hub.ts). Without it a name is a path. */
  dataFiles?: ((name: string) => Promise<string[]>) | undefined;
  /** Reads a parquet file's bytes where a broken file can be given up; `path` is for errors. Without it, in this thread. */
  readParquet?: (bytes: Uint8Array, path: string) => Promise<Row[]>;
}

/** The rows of all of a data set's files. */
export async function readDataset(host: DataHost, name: string): Promise<Row[]> {
  const paths = host.dataFiles ? await host.dataFiles(name) : [name];
  const rows: Row[][] = [];
  for (const path of paths) rows.push(await readRows(host, path));
  return rows.flat();
}

/** Rows of a .jsonl, .json (an array of objects) or .parquet file. */
export async function readRows(
  { files, readParquet = parquetRows }: Pick<DataHost, "files" | "readParquet">,
  path: string,
): Promise<Row[]> {
  if (path.endsWith(".jsonl")) return parseLines(utf8(await files.read(path), path), path);
  if (path.endsWith(".json")) {
    const json = parseJson(utf8(await files.read(path), path), path);
    if (!Array.isArray(json))
      throw new FormatError(`${path}: expected a JSON array of objects; for one object a line, name it .jsonl`);
    return json.map((row, i) => asRow(row, `${path}: row ${i}`));
  }
  if (path.endsWith(".parquet")) return readParquet(await files.read(path), path);
  throw new FormatError(`${path}: expected a .jsonl, .json or .parquet file`);
}

/** A text without its byte order mark; one in another encoding would lose letters without a word. */
function utf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    const isWide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
    throw new FormatError(
      `${path}: expected UTF-8, got ${isWide ? "UTF-16" : "bytes that are none"}; save it as UTF-8`,
      { cause: error },
    );
  }
}

function parseLines(text: string, path: string): Row[] {
  return text
    .split("\n")
    .flatMap((line, i) =>
      line.trim() === "" ? [] : [asRow(parseJson(line, `${path}: line ${i + 1}`), `${path}: line ${i + 1}`)],
    );
}

function asRow(value: unknown, where: string): Row {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new FormatError(`${where}: expected a JSON object`);
  return value as Row;
}
