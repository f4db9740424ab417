import { openSafetensors } from "../../src/hf/safetensors.ts";
import type { Files } from "../../src/runtime/types.ts";
import { FuzzRandom, fuzz } from "../helpers/fuzz.ts";

const VALUES = ["0", "1", "-1", "8", "16", "1e308", "null", "[]", "{}", '"F32"', "[0,8]", "[8,0]", "9007199254740993"];
const encoder = new TextEncoder();

function header(random: FuzzRandom): string {
  const dtype = () => random.pick(["F32", "F32", "F32", "F32", "BF16", "I64", "F4", "constructor"]);
  const entry = (at: number) =>
    random.below(9) === 0
      ? random.pick(VALUES)
      : `{"dtype":"${dtype()}","shape":[${random.pick(["2", "1,2", "2", "2,1,1", "2,0", "-1", "4294967296,4294967296"])}],"data_offsets":[${at},${at + 8}]}`;
  const names = Array.from({ length: 1 + random.below(4) }, (_, i) =>
    random.pick([`a${i}`, `a${i}`, `b${i}`, "b", "__metadata__"]),
  );
  return `{${names.map((name, i) => `${JSON.stringify(name)}:${entry(8 * i)}`).join(",")}}`;
}

function file(random: FuzzRandom): Uint8Array {
  const text = random.below(200) === 0 ? random.pick(["[", '{"a":']).repeat(20_000) : header(random);
  const json = encoder.encode(random.below(3) === 0 ? random.mutateText(text) : text);
  const bytes = new Uint8Array(8 + json.length + 8 * (1 + random.below(4)));
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  for (let i = 8 + json.length; i < bytes.length; i++) bytes[i] = random.below(256);
  return random.below(4) === 0 ? random.mutate(bytes) : bytes;
}

fuzz("safetensors", async (random) => {
  const bytes = file(random);
  const files = {
    size: async () => bytes.length,
    readRange: async (_path: string, start: number, end: number) => bytes.slice(start, end),
  } as Partial<Files> as Files;
  const opened = await openSafetensors(files, "x.safetensors");
  for (const name of opened.tensors.keys()) await opened.readF32(name);
});
