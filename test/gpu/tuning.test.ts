import { expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { formatTuning, parseTuning, tuningName, tuningShape, type TuningKey } from "../../src/gpu/tuning.ts";

const KEY: TuningKey = {
  adapter: "nvidia hopper 0x2330 NVIDIA: 550.54",
  tier: "matrices",
  matrices: "16 x 16 x 16 f16",
  tiles: 3,
  kernel: "0123456789abcdef",
};

const TUNING = new Map([
  [tuningShape("linear_forward", 1, 1536), 1],
  [tuningShape("linear_swiglu", 8192, 17920), 0],
]);

test("results share a choice up to the next powers of two, and from 8192 rows on", () => {
  const of = (rows: number, columns: number) => tuningShape("linear_forward", rows, columns);
  expect(of(1, 1)).toBe("linear_forward 1 x 1");
  expect(of(2, 1536)).toBe("linear_forward 2 x 2048");
  expect([of(5, 2048), of(8, 1025)]).toEqual([of(6, 2048), of(6, 2048)]);
  expect(of(9, 2048)).not.toBe(of(8, 2048));
  expect(of(8, 2049)).not.toBe(of(8, 2048));
  expect(of(32512, 151936)).toBe("linear_forward 8192 x 262144");
  expect(tuningShape("linear_logits", 8, 2048)).not.toBe(of(8, 2048));
});

test("a table comes back from its text", () => {
  expect(parseTuning(formatTuning(TUNING, KEY), KEY)).toEqual(TUNING);
  expect(parseTuning(formatTuning(new Map(), KEY), KEY).size).toBe(0);
});

test.each(["adapter", "tier", "matrices", "kernel"] as const)("a table for another %s is refused", (name) => {
  const other = { ...KEY, [name]: "another" };
  expect(() => parseTuning(formatTuning(TUNING, other), KEY)).toThrow(
    new FormatError(`expected a table for ${name} ${KEY[name]}, got one for another`),
  );
});

test("a table for other tiles is refused", () => {
  expect(() => parseTuning(formatTuning(TUNING, { ...KEY, tiles: 2 }), KEY)).toThrow(FormatError);
});

test("a damaged table is refused, wherever it is cut", () => {
  const text = formatTuning(TUNING, KEY).trimEnd();
  for (let end = 0; end < text.length; end++) expect(() => parseTuning(text.slice(0, end), KEY)).toThrow(FormatError);
  for (const other of ["null", "[]", "3", '{"key":{}}', '{"tiles":{}}', '{"key":null,"tiles":{}}'])
    expect(() => parseTuning(other, KEY)).toThrow(FormatError);
  for (const tile of [-1, 3, 0.5, "1", null])
    expect(() => parseTuning(JSON.stringify({ key: KEY, tiles: { "linear_forward 1 x 1": tile } }), KEY)).toThrow(
      /expected a tile from 0 to 2/,
    );
});

test("an adapter's name is fit for a file, of which another kernel's table takes the place", () => {
  expect(tuningName(KEY)).toBe("nvidia-hopper-0x2330-nvidia-550-54-matrices-16-x-16-x-16-f16.json");
  expect(tuningName({ ...KEY, kernel: "other" })).toBe(tuningName(KEY));
  expect(tuningName({ ...KEY, adapter: "../../etc\0passwd".repeat(50) })).toMatch(/^[a-z0-9-]{200}\.json$/);
});
