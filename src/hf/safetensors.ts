import { unpackBf16 } from "../core/bf16.ts";
import { FormatError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";
import { brief, oneLine } from "./json.ts";

/** Bytes of an element of each dtype of the format. */
const DTYPE_BYTES: Record<string, number> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
};

/** The format's own limit on its JSON header. */
const MAX_HEADER_BYTES = 100_000_000;

export interface TensorEntry {
  dtype: string;
  shape: number[];
  /** Bytes [begin, end) of the file. */
  begin: number;
  end: number;
}

/** Elements of a tensor from `first` on: BF16 as its bits, what else is read as weights as F32. */
export interface Part {
  first: number;
  values: Float32Array | Uint16Array;
}

/** Of a part: even, and small beside what a tensor may have. */
const PART_ELEMENTS = 2 ** 23;

/** An open safetensors file: the header has been read and checked, tensors are read by their byte ranges. */
export interface SafetensorsFile {
  path: string;
  metadata: Record<string, string>;
  tensors: ReadonlyMap<string, TensorEntry>;
  readBytes(name: string): Promise<Uint8Array>;
  /** F32, F16 and BF16, widened. */
  readF32(name: string): Promise<Float32Array>;
  /** I32 or U32. */
  readU32(name: string): Promise<Uint32Array>;
  /** readF32, and a FormatError where a value is NaN or infinite. */
  readWeights(name: string): Promise<Float32Array>;
  /** The same in parts of at most 8,388,608 elements, so that a tensor of any size passes through little memory. */
  weightParts(name: string): AsyncGenerator<Part>;
}

/** Reads and checks the header. Every way in which a file can lie about itself is a FormatError. */
export async function openSafetensors(files: Files, path: string): Promise<SafetensorsFile> {
  const size = await files.size(path);
  if (size < 8) throw new FormatError(`${path}: expected at least 8 bytes, got ${size}; the file is cut short`);
  const lengthBytes = await files.readRange(path, 0, 8);
  const headerLength = Number(new DataView(lengthBytes.buffer, lengthBytes.byteOffset).getBigUint64(0, true));
  if (headerLength > MAX_HEADER_BYTES) {
    throw new FormatError(
      `${path}: expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${headerLength}; not a safetensors file`,
    );
  }
  if (8 + headerLength > size) {
    throw new FormatError(
      `${path}: expected a header of ${headerLength} bytes, got ${size - 8} in the file; it is cut short`,
    );
  }
  const { metadata, tensors } = parseHeader(
    path,
    await files.readRange(path, 8, 8 + headerLength),
    8 + headerLength,
    size,
  );

  const entry = (name: string): TensorEntry => {
    const found = tensors.get(name);
    if (!found) throw new FormatError(`${path}: expected a tensor ${name}, got none of that name`);
    return found;
  };
  const readBytes = async (name: string) => {
    const { begin, end } = entry(name);
    return files.readRange(path, begin, end);
  };
  const readF32 = async (name: string) => widen(await readBytes(name), entry(name).dtype, `${path}: ${name}`);
  return {
    path,
    metadata,
    tensors,
    readBytes,
    readF32,
    async readU32(name) {
      const { dtype } = entry(name);
      if (dtype !== "I32" && dtype !== "U32")
        throw new FormatError(`${path}: expected ${name} as I32 or U32, got ${dtype}`);
      const { buffer, byteOffset, length } = aligned(await readBytes(name), 4);
      return new Uint32Array(buffer, byteOffset, length / 4);
    },
    async readWeights(name) {
      const values = await readF32(name);
      requireFinite(values, 0, path, name);
      return values;
    },
    async *weightParts(name) {
      const { dtype, begin, end } = entry(name);
      const width = DTYPE_BYTES[dtype]!;
      for (let first = 0; begin + first * width < end; first += PART_ELEMENTS) {
        const bytes = await files.readRange(
          path,
          begin + first * width,
          Math.min(begin + (first + PART_ELEMENTS) * width, end),
        );
        const values = dtype === "BF16" ? bitsOf(bytes) : widen(bytes, dtype, `${path}: ${name}`);
        requireFinite(values, first, path, name);
        yield { first, values };
      }
    },
  };
}

function parseHeader(path: string, bytes: Uint8Array, bodyStart: number, fileSize: number) {
  const fail = (message: string): never => {
    throw new FormatError(`${path}: ${message}`);
  };
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    return fail(`expected a JSON header: ${oneLine((error as Error).message)}`);
  }
  if (typeof header !== "object" || header === null || Array.isArray(header))
    return fail("expected the header to be a JSON object");

  let metadata: Record<string, string> = {};
  const tensors = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(header as Record<string, unknown>)) {
    if (name === "__metadata__") {
      if (typeof value !== "object" || value === null || Object.values(value).some((text) => typeof text !== "string"))
        return fail(`expected __metadata__ to map names to text, got ${brief(value)}`);
      metadata = value as Record<string, string>;
      continue;
    }
    const {
      dtype,
      shape,
      data_offsets: offsets,
    } = (value ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
    const elementBytes =
      typeof dtype === "string" && Object.hasOwn(DTYPE_BYTES, dtype)
        ? DTYPE_BYTES[dtype]!
        : fail(`${name}: unknown dtype ${brief(dtype)}`);
    const isSize = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;
    if (!Array.isArray(shape) || !shape.every(isSize))
      return fail(`${name}: expected a shape of whole numbers, got ${brief(shape)}`);
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
      return fail(`${name}: expected two data_offsets, got ${brief(offsets)}`);
    }
    const [begin, end] = offsets as [number, number];
    const expected = shape.reduce((a: number, b: number) => a * b, 1) * elementBytes;
    if (end - begin !== expected)
      return fail(
        `${name}: expected ${expected} bytes for ${String(dtype)} [${shape}], got offsets ${begin} to ${end}`,
      );
    if (bodyStart + end > fileSize)
      return fail(`${name}: expected data up to byte ${bodyStart + end}, got a file of ${fileSize}; it is cut short`);
    tensors.set(name, {
      dtype: dtype as string,
      shape: shape as number[],
      begin: bodyStart + begin,
      end: bodyStart + end,
    });
  }
  let covered = bodyStart;
  for (const [name, { begin, end }] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin < covered) return fail(`${name}: its data overlaps another tensor's (byte ${begin - bodyStart})`);
    if (begin > covered)
      return fail(
        `${name}: expected its data at byte ${covered - bodyStart}, got ${begin - bodyStart}; there is a hole before it`,
      );
    covered = end;
  }
  if (covered !== fileSize) return fail(`expected ${covered} bytes as the header says, got ${fileSize}`);
  return { metadata, tensors };
}

function requireFinite(values: Float32Array | Uint16Array, first: number, path: string, name: string): void {
  const isFinite =
    values instanceof Uint16Array
      ? (i: number) => (values[i]! & 0x7f80) !== 0x7f80
      : (i: number) => Number.isFinite(values[i]);
  for (let i = 0; i < values.length; i++) {
    if (isFinite(i)) continue;
    const value = values instanceof Uint16Array ? unpackBf16(values.subarray(i, i + 1))[0] : values[i];
    throw new FormatError(`${path}: expected finite weights, got ${value} in ${name} at ${first + i}`);
  }
}

function bitsOf(bytes: Uint8Array): Uint16Array {
  const { buffer, byteOffset, length } = aligned(bytes, 2);
  return new Uint16Array(buffer, byteOffset, length / 2);
}

/** `bytes`, copied where a typed array of elements of `size` bytes cannot be laid over them. */
function aligned(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  return bytes.byteOffset % size === 0 && bytes.buffer instanceof ArrayBuffer
    ? (bytes as Uint8Array<ArrayBuffer>)
    : new Uint8Array(bytes);
}

function widen(bytes: Uint8Array, dtype: string, what: string): Float32Array {
  if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16")
    throw new FormatError(`${what}: expected F32, F16 or BF16, got ${dtype}`);
  if (dtype === "F32") {
    const { buffer, byteOffset, length } = aligned(bytes, 4);
    return new Float32Array(buffer, byteOffset, length / 4);
  }
  const halves = bitsOf(bytes);
  if (dtype === "BF16") return unpackBf16(halves);
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = halfToFloat(halves[i]!);
  return values;
}

function halfToFloat(h: number): number {
  const exponent = (h >> 10) & 31;
  const fraction = h & 1023;
  const sign = h & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** A tensor to be written; `data` is called when its turn comes, so that a model streams through. */
export interface TensorSource {
  name: string;
  dtype: string;
  shape: number[];
  data(): Uint8Array | Promise<Uint8Array>;
}

/** Writes a file, tensors in the order given, the header padded with spaces to a multiple of 8 bytes. */
export async function writeSafetensors(
  files: Files,
  path: string,
  tensors: readonly TensorSource[],
  metadata: Record<string, string> = {},
): Promise<void> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (Object.hasOwn(header, name)) throw new FormatError(`${path}: expected names that differ, got ${name} twice`);
    if (!Object.hasOwn(DTYPE_BYTES, dtype)) throw new FormatError(`${path}: ${name}: unknown dtype ${dtype}`);
    const end = offset + shape.reduce((a, b) => a * b, 1) * DTYPE_BYTES[dtype]!;
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(json.length / 8) * 8;
  const prefix = new Uint8Array(8 + length).fill(0x20);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(length), true);
  prefix.set(json, 8);
  await files.write(
    path,
    (async function* () {
      yield prefix;
      for (const tensor of tensors) {
        const [begin, end] = (header[tensor.name] as { data_offsets: [number, number] }).data_offsets;
        const bytes = await tensor.data();
        if (bytes.length !== end - begin)
          throw new FormatError(`${path}: expected ${end - begin} bytes for ${tensor.name}, got ${bytes.length}`);
        yield bytes;
      }
    })(),
  );
}
