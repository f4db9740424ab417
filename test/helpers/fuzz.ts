import process from "node:process";
import { expect, test } from "vitest";
import { PithError } from "../../src/errors.ts";
import type { Files } from "../../src/runtime/types.ts";
import { BlobFiles } from "../../web/storage/blob-files.ts";

/** The kinds of input that are fuzzed, each with its share of PITH_FUZZ inputs: the less, the longer one takes. */
const SHARES = {
  safetensors: 0.3,
  jsonl: 0.19,
  grader: 0.19,
  config: 0.15,
  template: 0.1,
  tokenizer: 0.05,
  parquet: 0.01,
  gate: 0.01,
} as const;
export type FuzzKind = keyof typeof SHARES;
const FEW = 300;
/** CPU seconds, all threads of the process. */
const LONGEST = 1;

export interface FuzzFigures {
  kind: string;
  inputs: number;
  /** Inputs that were refused with a PithError. */
  refused: number;
  /** CPU milliseconds of the slowest input, and which it was. */
  slowestMs: number;
  slowest: number;
  /** MiB, of the whole process. */
  peakRss: number;
}

declare module "vitest" {
  interface TaskMeta {
    fuzz?: FuzzFigures;
  }
}

/** Numbers of one input: the same for the same seed, whatever ran before it. */
export class FuzzRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  }

  /** Uniform in [0, 1). Mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to n - 1. */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** Up to `most` pieces in a row, with repeats of one piece now and then. */
  text(pieces: readonly string[], most: number): string {
    let text = "";
    for (let left = this.below(most + 1); left > 0; left--) {
      text += this.pick(pieces).repeat(this.below(50) === 0 ? 1 + this.below(200) : 1);
    }
    return text;
  }

  /** `bytes` with one to eight of them changed, taken out, doubled or cut off. */
  mutate(bytes: Uint8Array): Uint8Array {
    let out = Uint8Array.from(bytes);
    for (let edits = 1 + this.below(8); edits > 0; edits--) {
      const at = this.below(out.length + 1);
      const length = this.below(16);
      const action = this.below(5);
      if (action === 0) out = out.slice(0, at);
      else if (action === 1) out = Uint8Array.from([...out.subarray(0, at), ...out.subarray(at + length)]);
      else if (action === 2) {
        out = Uint8Array.from([...out.subarray(0, at + length), ...out.subarray(at)]);
      } else if (at < out.length) {
        out[at] =
          action === 3 ? this.below(256) : this.pick([0, 1, 0x22, 0x2c, 0x30, 0x39, 0x5b, 0x7b, 0x7f, 0x80, 0xff]);
      }
    }
    return out;
  }

  /** `json` with one to four of its values or keys replaced, taken out, doubled or swapped for another of it. */
  mutateJson(json: unknown): unknown {
    const root = { value: structuredClone(json) };
    for (let edits = 1 + this.below(4); edits > 0; edits--) {
      const places = placesOf(root);
      if (places.length === 0) break;
      const [holder, key] = this.pick(places);
      const action = this.below(6);
      const other = this.pick(places);
      if (action === 0) delete holder[key];
      else if (action === 1) holder[key] = structuredClone(other[0][other[1]]);
      else if (action === 2) {
        const name = this.pick(["type", "__proto__", "constructor", "", "0", other[1]]);
        const value = structuredClone(holder[key]);
        Object.defineProperty(holder, name, { value, enumerable: true, writable: true, configurable: true });
      } else if (action === 3 && typeof holder[key] === "string") holder[key] = this.mutateText(holder[key]);
      else if (action === 4 && Array.isArray(holder[key]))
        holder[key] = [...(holder[key] as []), ...(holder[key] as [])];
      else holder[key] = structuredClone(this.pick(HOSTILE_VALUES));
    }
    return root.value;
  }

  /** `text` with characters changed as `mutate` does, valid Unicode or not. */
  mutateText(text: string): string {
    return new TextDecoder().decode(this.mutate(new TextEncoder().encode(text)));
  }
}

type Holder = Record<string, unknown>;

const HOSTILE_VALUES: unknown[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  0.5,
  1e308,
  2 ** 31,
  2 ** 53,
  Infinity,
  NaN,
  "9007199254740993",
  "",
  "a",
  "NaN",
  "\u0000",
  "\ud800",
  "\uFDD0",
  "constructor",
  "__proto__",
  "(",
  "(a+)+b",
  "x".repeat(2000),
  [],
  {},
  [[]],
  [null],
  { type: "Sequence" },
  { Regex: "(a|aa)+$" },
  { Regex: "[" },
  { String: "" },
];

/** Every value of `root` with what holds it. */
function placesOf(root: object, places: [Holder, string][] = []): [Holder, string][] {
  for (const [key, value] of Object.entries(root)) {
    if (places.length > 2000) break; // long vocabularies need not be seen whole
    places.push([root as Holder, key]);
    if (typeof value === "object" && value !== null) placesOf(value as object, places);
  }
  return places;
}

/** A folder of files in memory. */
export const memoryFiles = (contents: Readonly<Record<string, Uint8Array | string>>): Files =>
  new BlobFiles(Object.entries(contents).map(([path, content]) => [path, new Blob([content as BlobPart])]));

/** Inputs of one kind: `few`, in the long mode the kind's share. */
export function fuzzInputs(kind: FuzzKind, few: number): number {
  const all = process.env["PITH_FUZZ"];
  return all === undefined ? few : Math.ceil(Number(all) * SHARES[kind]);
}

/**
 * A test that gives `run` a few hundred inputs, in the long mode (PITH_FUZZ) its share of so many. An input may end in a PithError
 * of one line and in nothing else, and in at most a second of CPU time; a failure names the input's number.
 */
export function fuzz(
  kind: FuzzKind,
  run: (random: FuzzRandom, input: number) => unknown,
  { few = FEW, setup }: { few?: number; setup?: () => Promise<void> } = {},
): void {
  const inputs = fuzzInputs(kind, few);
  test(`${kind}: ${inputs} broken inputs are read or refused in one line`, { timeout: 7_200_000 }, async ({ task }) => {
    expect(inputs).toBeGreaterThan(0);
    await setup?.();
    const figures: FuzzFigures = { kind, inputs, refused: 0, slowestMs: 0, slowest: 0, peakRss: 0 };
    for (let input = 0; input < inputs; input++) {
      const before = process.cpuUsage();
      try {
        await run(new FuzzRandom(input), input);
      } catch (error) {
        if (!(error instanceof PithError) || /[\n\r]/.test(error.message))
          throw new Error(`input ${input}: expected a PithError of one line, got ${String(error)}`, { cause: error });
        figures.refused++;
      }
      const { user, system } = process.cpuUsage(before);
      const milliseconds = (user + system) / 1000;
      if (milliseconds > figures.slowestMs) Object.assign(figures, { slowestMs: milliseconds, slowest: input });
      if (milliseconds > LONGEST * 1000)
        throw new Error(`input ${input}: expected at most ${LONGEST} s of CPU time, got ${milliseconds / 1000}`);
    }
    figures.peakRss = process.resourceUsage().maxRSS / 1024;
    task.meta.fuzz = figures;
  });
}
