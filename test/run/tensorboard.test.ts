import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/run/config.ts";
import { RunFolder } from "../../src/run/run-folder.ts";
import { eventFile } from "../../src/run/tensorboard.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { temporaryFolder } from "../hf/temporary.ts";

/** CRC-32C bit by bit, by long division: each byte's lowest bit comes first, and so does the result's. RFC 3720, appendix B.4. */
function crc32c(bytes: Uint8Array): number {
  const POLYNOMIAL = 0x1edc6f41;
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const out = (remainder >>> 31) ^ ((byte >>> bit) & 1);
      remainder = ((remainder << 1) ^ (out ? POLYNOMIAL : 0)) >>> 0;
    }
  }
  let reversed = 0;
  for (let bit = 0; bit < 32; bit++) reversed = (reversed << 1) | ((remainder >>> bit) & 1);
  return ~reversed >>> 0;
}

/** As TFRecord files hold it: rotated right by 15 bits, plus a constant. */
const masked = (bytes: Uint8Array): number => {
  const crc = BigInt(crc32c(bytes));
  return Number((((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn);
};

/** The records of a file, each with its checksums as they must be. */
function records(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const found: Uint8Array[] = [];
  for (let at = 0; at < file.length;) {
    const length = Number(view.getBigUint64(at, true));
    expect(view.getUint32(at + 8, true)).toBe(masked(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(data.length).toBe(length);
    expect(view.getUint32(at + 12 + length, true)).toBe(masked(data));
    found.push(data);
    at += 16 + length;
  }
  return found;
}

/** The fields of a protocol buffer's message, in their order: wire types varint, 64 bits, bytes and 32 bits. */
function fields(message: Uint8Array): { field: number; value: number | bigint | Uint8Array }[] {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (size: number) => ((at += size), at - size);
  const found: ReturnType<typeof fields> = [];
  while (at < message.length) {
    const tag = Number(varint());
    const wire = tag & 7;
    if (wire === 0) found.push({ field: tag >>> 3, value: varint() });
    else if (wire === 1) found.push({ field: tag >>> 3, value: view.getFloat64(take(8), true) });
    else if (wire === 5) found.push({ field: tag >>> 3, value: view.getFloat32(take(4), true) });
    else if (wire === 2) {
      const size = Number(varint());
      found.push({ field: tag >>> 3, value: message.slice(take(size), at) });
    } else throw new Error(`wire type ${wire}`);
  }
  return found;
}

const text = (value: unknown) => new TextDecoder().decode(value as Uint8Array);
const of = (message: Uint8Array, field: number) => fields(message).flatMap((f) => (f.field === field ? [f.value] : []));

/** An Event: wall_time = 1, step = 2, file_version = 3, summary = 5; Summary: value = 1; Value: tag = 1, simple_value = 2. */
function event(message: Uint8Array) {
  const [summary] = of(message, 5);
  const values = summary ? of(summary as Uint8Array, 1) : [];
  return {
    wallTime: of(message, 1)[0],
    step: of(message, 2)[0],
    version: of(message, 3).map(text)[0],
    values: Object.fromEntries(values.map((v) => [text(of(v as Uint8Array, 1)[0]), of(v as Uint8Array, 2)[0]])),
  };
}

test("the check of the checksum is right", () => {
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
});

describe("an event file", () => {
  test("opens with its version and holds each step's scalars in f32", () => {
    const rows = [
      { step: 1, wallTime: 1700000000.25, values: { loss: -0.125, "completions/mean_length": 91.1 } },
      { step: 127, wallTime: 1700000001, values: { "länge/ü": 1e-30 } },
      { step: 128, wallTime: 1700000002, values: {} },
      { step: 2 ** 40 + 5, wallTime: 1700000003, values: { loss: NaN, reward: -Infinity } },
      // A summary of more than 16383 bytes: its length is a varint of three.
      {
        step: 300,
        wallTime: 1700000004,
        values: Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`metric/${"x".repeat(20)}${i}`, i])),
      },
    ];
    const [header, ...events] = records(eventFile(rows)).map(event);
    expect(header).toEqual({ wallTime: 1700000000.25, step: undefined, version: "brain.Event:2", values: {} });
    expect(events).toEqual(
      rows.map(({ step, wallTime, values }) => ({
        wallTime,
        step: BigInt(step),
        version: undefined,
        values: Object.fromEntries(Object.entries(values).map(([tag, value]) => [tag, Math.fround(value)])),
      })),
    );
  });

  test("of a run is its metrics, and what is written later begins like what was there", async () => {
    const dir = `${temporaryFolder()}/run`;
    const folder = await RunFolder.open(nodeFiles, parseConfig({ train: { output_dir: dir } }), "train", () => {});
    const path = `${dir}/events.out.tfevents.pith`; // TensorBoard reads files with "tfevents" in their name
    await folder.log(1, { loss: 0.5, kl: NaN });
    await folder.writeEvents();
    const first = readFileSync(path);
    await folder.log(2, { loss: 0.25, kl: 0.75 });
    await folder.writeEvents();
    const second = readFileSync(path);
    expect(second.subarray(0, first.length)).toEqual(first);

    const logged = await folder.readMetrics();
    const events = records(second).slice(1).map(event);
    expect(events.map(({ step, wallTime }) => [Number(step), wallTime])).toEqual(
      logged.map((row) => [row["step"], row["time"]]),
    );
    expect(events.map(({ values }) => values)).toEqual([
      { loss: 0.5, kl: NaN },
      { loss: 0.25, kl: 0.75 },
    ]);
  });
});
