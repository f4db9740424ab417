import { FormatError } from "../errors.ts";
import { oneLine } from "../hf/json.ts";

/** The rows of a parquet file's bytes. `path` is for errors. */
export async function parquetRows(bytes: Uint8Array, path: string): Promise<Record<string, unknown>[]> {
  const [{ parquetReadObjects }, { compressors }] = await Promise.all([
    import("hyparquet"),
    import("hyparquet-compressors"), // all of the format's codecs: hyparquet itself knows snappy alone
  ]);
  const slice = async (start: number, end = bytes.length) => bytes.slice(start, end).buffer as ArrayBuffer;
  try {
    return await parquetReadObjects({ file: { byteLength: bytes.length, slice }, compressors });
  } catch (error) {
    throw new FormatError(`${path}: ${oneLine((error as Error).message)}`, { cause: error });
  }
}
