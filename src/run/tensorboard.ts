/**
 * TensorBoard event files: records of TFRecord framing (length, masked CRC-32C of it, data, masked CRC-32C of that) around
 * Event protocol buffers. Written by hand because no maintained package does it without TensorFlow's native library.
 */

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c >>> 0;
});

function maskedCrc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16 + data.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return bytes;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}

/** Fields of a message: number and wire type, then the value. */
const lengthDelimited = (field: number, data: ArrayLike<number>): number[] => [
  (field << 3) | 2,
  ...varint(data.length),
  ...Array.from(data),
];
const double = (field: number, value: number): number[] => [
  (field << 3) | 1,
  ...new Uint8Array(new Float64Array([value]).buffer),
];
const float = (field: number, value: number): number[] => [
  (field << 3) | 5,
  ...new Uint8Array(new Float32Array([value]).buffer),
];
const integer = (field: number, value: number): number[] => [field << 3, ...varint(value)];
const text = (field: number, value: string): number[] => lengthDelimited(field, new TextEncoder().encode(value));

/** The record that opens a file. `wallTime` in seconds since 1970. */
const fileHeader = (wallTime: number): Uint8Array =>
  record(Uint8Array.from([...double(1, wallTime), ...text(3, "brain.Event:2")]));

/** One step's scalars. */
function scalars(wallTime: number, step: number, values: Readonly<Record<string, number>>): Uint8Array {
  const summary = Object.entries(values).flatMap(([tag, value]) =>
    lengthDelimited(1, [...text(1, tag), ...float(2, value)]),
  );
  return record(Uint8Array.from([...double(1, wallTime), ...integer(2, step), ...lengthDelimited(5, summary)]));
}

/** A whole event file of the metrics that a run has logged. */
export function eventFile(
  rows: readonly { step: number; wallTime: number; values: Readonly<Record<string, number>> }[],
): Uint8Array {
  const parts = [fileHeader(rows[0]?.wallTime ?? 0), ...rows.map((row) => scalars(row.wallTime, row.step, row.values))];
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
