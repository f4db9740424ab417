import { Readable } from "node:stream";
import { constants, createZstdCompress, createZstdDecompress } from "node:zlib";
import type { Files } from "../runtime/types.ts";

/** Bytes that are in memory at a time. */
const PIECE = 2 ** 22;

/**
 * What makes one version of a file out of another of the same size: their exclusive or, compressed. An optimizer step leaves most
 * bits of most bf16 weights as they were, so it is a small part of the file.
 */
export const deltaOf = (files: Files, base: string, path: string): AsyncIterable<Uint8Array> =>
  Readable.from(xor(files, base, pieces(files, path))).pipe(
    createZstdCompress({ chunkSize: PIECE, params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
  );

/** The other version, of `base` and a delta. Fails where the delta is cut or none. */
export const applyDelta = (files: Files, base: string, delta: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> =>
  xor(files, base, decompressed(delta));

async function* decompressed(delta: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const unpack = createZstdDecompress({ chunkSize: PIECE });
  const packed = Readable.from(delta);
  packed.once("error", (error) => unpack.destroy(error));
  yield* packed.pipe(unpack) as AsyncIterable<Uint8Array>;
}

export async function* pieces(files: Files, path: string): AsyncGenerator<Uint8Array> {
  const size = await files.size(path);
  for (let start = 0; start < size; start += PIECE)
    yield await files.readRange(path, start, Math.min(size, start + PIECE));
}

async function* xor(files: Files, base: string, other: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const piece of other) {
    const own = await files.readRange(base, at, at + piece.length);
    at += piece.length;
    yield xorBytes(own, piece);
  }
}

/** Four bytes at a time where both begin at a multiple of four. */
function xorBytes(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length);
  const words = a.byteOffset % 4 === 0 && b.byteOffset % 4 === 0 ? Math.floor(a.length / 4) : 0;
  const [out, x, y] = [bytes, a, b].map((values) =>
    values.byteOffset % 4 === 0 ? new Uint32Array(values.buffer, values.byteOffset, words) : new Uint32Array(0),
  );
  for (let i = 0; i < words; i++) out![i] = x![i]! ^ y![i]!;
  for (let i = 4 * words; i < bytes.length; i++) bytes[i] = a[i]! ^ b[i]!;
  return bytes;
}
