import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { openSafetensors, writeSafetensors } from "../../src/hf/safetensors.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { temporaryFolder } from "./temporary.ts";

const dir = temporaryFolder();
let count = 0;

/** A file of these parts; `length` is what its first 8 bytes say. */
function file(header: unknown, body: Uint8Array = new Uint8Array(0), length?: bigint): string {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(body, 8 + json.length);
  const path = `${dir}/${count++}.safetensors`;
  writeFileSync(path, bytes);
  return path;
}

const tensor = (begin: number, end: number, dtype = "F32", shape = [(end - begin) / 4]) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});
const bytesOf = (view: ArrayBufferView) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

async function refusal(path: string): Promise<string> {
  const error: unknown = await openSafetensors(nodeFiles, path).then(
    () => null,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(FormatError);
  const { message } = error as FormatError;
  expect(message).toContain(path);
  expect(message).not.toContain("\n");
  return message;
}

describe("headers that lie are refused in one line", () => {
  const body = new Uint8Array(16);
  test.each<[string, string, RegExp]>([
    ["10 GB header", file("{}", body, 10_000_000_000n), /at most 100000000 bytes, got 10000000000/],
    ["header of 2^64 - 1 bytes", file("{}", body, 2n ** 64n - 1n), /at most/],
    ["header beyond the file", file("{}", body, 1000n), /cut short/],
    ["not JSON", file("not json"), /JSON header/],
    ["broken after a line's end", file('{"a": {"shape": [1,\n]}}'), /JSON header/],
    ["not UTF-8", file("{}", new Uint8Array([0xff]), 3n), /JSON header/],
    ["an array", file("[]"), /JSON object/],
    ["metadata that is no text", file({ __metadata__: { step: 3 } }), /__metadata__/],
    ["null tensor", file({ a: null }), /a: unknown dtype/],
    ["unknown dtype", file({ a: tensor(0, 16, "F4") }, body), /a: unknown dtype "F4"/],
    ["inherited dtype", file({ a: tensor(0, 16, "toString") }, body), /unknown dtype/],
    ["negative size", file({ a: tensor(0, 16, "F32", [-2, -2]) }, body), /whole numbers/],
    ["fraction", file({ a: tensor(0, 16, "F32", [0.5, 8]) }, body), /whole numbers/],
    ["huge shape", file({ a: tensor(0, 16, "F32", [2 ** 52, 2 ** 52, 2 ** 52]) }, body), /a: expected/],
    ["shape and offsets differ", file({ a: tensor(0, 16, "F32", [5]) }, body), /20 bytes .* offsets 0 to 16/],
    ["offsets backwards", file({ a: tensor(16, 0, "F32", [4]) }, body), /offsets 16 to 0/],
    ["one offset", file({ a: { dtype: "F32", shape: [4], data_offsets: [0] } }, body), /two data_offsets/],
    ["beyond the end", file({ a: tensor(0, 32) }, body), /cut short/],
    ["overlap", file({ a: tensor(0, 12), b: tensor(8, 16) }, body), /b: its data overlaps/],
    ["the same bytes twice", file({ a: tensor(0, 16), b: tensor(0, 16) }, body), /overlaps/],
    ["a hole", file({ a: tensor(0, 4), b: tensor(8, 16) }, body), /b: .*hole/],
    ["bytes left over", file({ a: tensor(0, 8) }, body), /as the header says/],
  ])("%s", async (_, path, message) => {
    expect(await refusal(path)).toMatch(message);
  });

  test("a file cut short anywhere", async () => {
    const whole = await nodeFiles.read(file({ a: tensor(0, 8), b: tensor(8, 16) }, body));
    for (let length = 0; length < whole.length; length++) {
      const path = `${dir}/cut.safetensors`;
      writeFileSync(path, whole.subarray(0, length));
      await refusal(path);
    }
  });

  test("whatever a header holds, it opens or is a FormatError", async () => {
    const size = fc.oneof(fc.integer({ min: -1, max: 20 }), fc.double(), fc.constant(2 ** 53));
    const entry = fc.record(
      {
        dtype: fc.constantFrom("F32", "BF16", "X"),
        shape: fc.array(size, { maxLength: 3 }),
        data_offsets: fc.array(size),
      },
      { requiredKeys: [] },
    );
    const header = fc.oneof(
      fc.dictionary(fc.string({ maxLength: 3 }), fc.oneof(entry, fc.jsonValue())),
      fc.jsonValue(),
    );
    await fc.assert(
      fc.asyncProperty(header, async (json) => {
        await openSafetensors(nodeFiles, file(json, body)).catch((e) => expect(e).toBeInstanceOf(FormatError));
      }),
      { numRuns: 200 },
    );
  });
});

describe("values", () => {
  test("BF16, F16 and F32 are widened exactly", async () => {
    // 1, -2, largest finite, smallest subnormal and negative zero of each.
    const bf16 = Uint16Array.of(0x3f80, 0xc000, 0x7f7f, 0x0001, 0x8000);
    const f16 = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000);
    const f32 = Float32Array.of(1, -2, 0.1);
    const path = file(
      { b: tensor(0, 10, "BF16", [5]), h: tensor(10, 20, "F16", [5]), f: tensor(20, 32, "F32", [3]) },
      new Uint8Array([...bytesOf(bf16), ...bytesOf(f16), ...bytesOf(f32)]),
    );
    const { readF32, readU32 } = await openSafetensors(nodeFiles, path);
    expect([...(await readF32("b"))]).toEqual([1, -2, 3.3895313892515355e38, 2 ** -133, -0]);
    expect([...(await readF32("h"))]).toEqual([1, -2, 65504, 2 ** -24, -0]);
    expect(await readF32("f")).toEqual(f32);
    await expect(readU32("f")).rejects.toThrow(/f as I32 or U32, got F32/);
    await expect(readF32("x")).rejects.toThrow(/a tensor x/);
  });

  test.each([
    ["F32", [0x00, 0x00, 0xc0, 0x7f], "NaN"],
    ["BF16", [0x80, 0x7f], "Infinity"],
    ["F16", [0x00, 0xfc], "-Infinity"],
    ["F16", [0x01, 0x7c], "NaN"],
  ])("%s weights that are not finite name the tensor and the place", async (dtype, bad, value) => {
    const size = bad.length;
    const path = file(
      { "model.norm.weight": tensor(0, 3 * size, dtype, [3]) },
      Uint8Array.from({ length: 3 * size }, (_, i) => bad[i - 2 * size] ?? 0),
    );
    const opened = await openSafetensors(nodeFiles, path);
    await expect(opened.readWeights("model.norm.weight")).rejects.toThrow(
      `expected finite weights, got ${value} in model.norm.weight at 2`,
    );
  });
});

describe("weights in parts", () => {
  const MOST = 2 ** 23;
  const COUNT = MOST + 3;

  /** A file whose one tensor is a hole, zeros, but for these BF16 bits at these places. */
  function sparse(bits: Record<number, number>): string {
    const header = { "model.norm.weight": tensor(0, 2 * COUNT, "BF16", [COUNT]) };
    const json = JSON.stringify(header);
    const path = `${dir}/${count++}.safetensors`;
    writeFileSync(path, Buffer.concat([Buffer.from(BigUint64Array.of(BigInt(json.length)).buffer), Buffer.from(json)]));
    const start = 8 + json.length;
    truncateSync(path, start + 2 * COUNT);
    const handle = openSync(path, "r+");
    for (const [place, value] of Object.entries(bits))
      writeSync(handle, Uint16Array.of(value), 0, 2, start + 2 * Number(place));
    closeSync(handle);
    return path;
  }

  test("are all of it, each at its place, BF16 as its bits", async () => {
    const bits = { 0: 0x3f80, [MOST - 1]: 0x4000, [MOST]: 0xc000, [COUNT - 1]: 0x4040 };
    const opened = await openSafetensors(nodeFiles, sparse(bits));
    const parts = await Array.fromAsync(opened.weightParts("model.norm.weight"));
    expect(parts.map(({ first, values }) => [first, values.length])).toEqual([
      [0, MOST],
      [MOST, 3],
    ]);
    expect(parts[0]!.values).toBeInstanceOf(Uint16Array);
    expect([0, 1, MOST - 1].map((i) => parts[0]!.values[i])).toEqual([0x3f80, 0, 0x4000]);
    expect([...parts[1]!.values]).toEqual([0xc000, 0, 0x4040]);
  });

  test("name the place of one that is not finite", async () => {
    const opened = await openSafetensors(nodeFiles, sparse({ [MOST + 1]: 0xff80 }));
    await expect(Array.fromAsync(opened.weightParts("model.norm.weight"))).rejects.toThrow(
      `expected finite weights, got -Infinity in model.norm.weight at ${MOST + 1}`,
    );
  });
});

describe("writing", () => {
  test("what is written is read back, in order, the body at a multiple of 8 bytes", async () => {
    const part = fc.record({ name: fc.string({ minLength: 1 }), data: fc.uint8Array({ maxLength: 9 }) });
    const parts = fc.uniqueArray(part, { selector: ({ name }) => name, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(parts, fc.dictionary(fc.string(), fc.string()), async (tensors, metadata) => {
        const named = tensors.filter(({ name }) => name !== "__metadata__" && name !== "__proto__");
        delete metadata["__proto__"];
        const path = `${dir}/written.safetensors`;
        const sources = named.map(({ name, data }) => ({ name, dtype: "U8", shape: [data.length], data: () => data }));
        await writeSafetensors(nodeFiles, path, sources, metadata);
        const opened = await openSafetensors(nodeFiles, path);
        expect({ ...opened.metadata }).toEqual({ ...metadata });
        expect([...opened.tensors.keys()].sort()).toEqual(named.map(({ name }) => name).sort());
        for (const { name, data } of named) expect(await opened.readBytes(name)).toEqual(data);
        for (const { begin } of [...opened.tensors.values()].slice(0, 1)) {
          const first = Math.min(...[...opened.tensors.values()].map((t) => t.begin));
          expect(first % 8).toBe(0);
          expect(begin).toBeGreaterThanOrEqual(first);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("data of another length, a name twice and an unknown dtype are refused", async () => {
    const source = { name: "a", dtype: "F32", shape: [2], data: () => new Uint8Array(4) };
    const write = (...sources: (typeof source)[]) => writeSafetensors(nodeFiles, `${dir}/bad.safetensors`, sources);
    await expect(write(source)).rejects.toThrow(/8 bytes for a, got 4/);
    await expect(write(source, source)).rejects.toThrow(/a twice/);
    await expect(write({ ...source, dtype: "F4" })).rejects.toThrow(/unknown dtype F4/);
  });
});
