import type { Gpu } from "../gpu/gpu.ts";
import { byteLength, Tensor } from "../gpu/tensor.ts";
import { MOST_ROWS, tuningShape } from "../gpu/tuning.ts";
import { tileByRule, tileName, tilesOf } from "../kernels/linear-matrix.ts";
import { VOCAB_CHUNK } from "../kernels/logprob.ts";
import type { ModelConfig } from "../model/config.ts";
import { allocate, type KernelCase } from "./kernel-case.ts";
import { backwardInput, backwardWeight, forward, logits, swiglu } from "./kernels/linear.ts";
import { summarize } from "./statistics.ts";
import type { Stopwatch } from "./stopwatch.ts";

/** Sequences that decode together at most: only they have logits of the whole vocabulary at once. */
const MOST_SEQUENCES = 256;
/** Rows that a gradient is summed over where its tile is measured, which does not depend on them. */
const SUMMED_ROWS = 1024;
/** A product that takes longer, and those of more rows, are left to the rule. */
const LONGEST_MS = 100;
/** After which the rest is left to the rule. */
const MOST_SECONDS = 30;
/** A sample lasts at least that long, so that submitting and waiting weigh little. */
const SAMPLE_MS = 3;
const MAX_REPEATS = 50;
const ROUNDS = 5;
/** A candidate that takes so many times as long as another is out after one sample. */
const HOPELESS = 2;

/** A product of a model whose tile is a choice; `rows` and `columns` are those of its result. */
export interface TunableProduct {
  rows: number;
  columns: number;
  product: KernelCase;
}

/**
 * The products that a model in bf16 meets in decoding and in training, in families of growing rows; of those that share a choice
 * the one with the most to do.
 */
export function tunableProducts(config: ModelConfig): TunableProduct[][] {
  const { hiddenSize: C, intermediateSize: I, numHeads, numKvHeads, headDim, vocabSize } = config;
  const attention = [numHeads * headDim, numKvHeads * headDim].map((outputs) => ({ outputs, inputs: C }));
  const layer = [...attention, { outputs: C, inputs: numHeads * headDim }, { outputs: C, inputs: I }];
  const mlp = { outputs: I, inputs: C };
  const chunk = { outputs: Math.min(VOCAB_CHUNK, vocabSize), inputs: C };
  const head = { outputs: vocabSize, inputs: C };
  const learned = [...layer, mlp, chunk];

  const storage = "bf16";
  const family = (rows: readonly number[], columns: number, make: (rows: number) => KernelCase): TunableProduct[] =>
    rows.map((count) => ({ rows: count, columns, product: make(count) }));
  const all = powersOfTwo(1, MOST_ROWS);
  const batches = powersOfTwo(MOST_SEQUENCES, MOST_ROWS);
  const families = [
    ...layer.map((p) => family(all, p.outputs, (rows) => forward({ ...p, rows, storage }))),
    family(all, 2 * I, (rows) => swiglu({ ...mlp, rows, storage })),
    family(powersOfTwo(1, MOST_SEQUENCES), vocabSize, (rows) => logits({ ...head, rows, storage })),
    family(batches, chunk.outputs, (rows) => logits({ ...chunk, rows, storage })),
    ...learned.map((p) => family(batches, p.inputs, (rows) => backwardInput({ ...p, rows, storage }))),
    ...learned.map((p) => [
      { rows: p.outputs, columns: p.inputs, product: backwardWeight({ ...p, rows: SUMMED_ROWS, storage }) },
    ]),
  ];
  const largest = new Map<string, TunableProduct>();
  for (const one of families.flat()) {
    const known = largest.get(shapeOf(one));
    if (!known || one.product.flops > known.product.flops) largest.set(shapeOf(one), one);
  }
  const kept = new Set(largest.values());
  return families.map((members) => members.filter((one) => kept.has(one))).filter((members) => members.length > 0);
}

const shapeOf = ({ product, rows, columns }: TunableProduct): string => tuningShape(product.kernel, rows, columns);

const powersOfTwo = (first: number, last: number): number[] =>
  Array.from({ length: Math.log2(last / first) + 1 }, (_, i) => first * 2 ** i);

/** What was found for one shape: names of tiles, and how many times as fast as the rule's the chosen one is. */
export interface Tuned {
  shape: string;
  rule: string;
  chosen: string;
  gain: number;
}

/**
 * Measures the adapter's tiles on a model's products, a few seconds long on a GPU, and makes gpu.tuning hold those that are
 * faster than the rule's, beside what it held of other shapes. Returns how many shapes were left out because they, or those
 * before them, take too long. The device must have a choice: see tuningKey.
 */
export async function tune(watch: Stopwatch, config: ModelConfig, onTuned: (tuned: Tuned) => void): Promise<number> {
  const { gpu } = watch;
  const names = tilesOf(gpu, gpu.matrices!).map((tile) => tileName(gpu.matrices!, tile));
  const found = new Map(gpu.tuning);
  const start = performance.now();
  let left = 0;
  try {
    for (const family of tunableProducts(config)) {
      const members = family.filter(({ product }) => fits(gpu, product));
      if (members.length === 0) continue;
      const room = allocate(gpu, members.at(-1)!.product);
      try {
        for (const [i, one] of members.entries()) {
          const isLate = performance.now() - start > 1000 * MOST_SECONDS;
          const result = isLate ? null : await fastestTile(watch, one, within(room, one.product));
          if (!result) {
            left += members.length - i;
            break;
          }
          const { rule, chosen, gain } = result;
          const shape = shapeOf(one);
          if (chosen === rule) found.delete(shape);
          else found.set(shape, chosen);
          onTuned({ shape, rule: names[rule]!, chosen: names[chosen]!, gain });
        }
      } finally {
        gpu.release(...Object.values(room));
      }
    }
  } finally {
    gpu.tuning = found;
  }
  return left;
}

/** By index; null where even the rule's tile takes too long. */
async function fastestTile(watch: Stopwatch, one: TunableProduct, tensors: Record<string, Tensor>) {
  const { gpu } = watch;
  const tiles = tilesOf(gpu, gpu.matrices!);
  const rule = tileByRule(gpu, gpu.matrices!, one.rows, one.columns);
  const sample = async (tile: number, repeats: number) => {
    gpu.tuning = new Map([[shapeOf(one), tile]]);
    const { host, device } = await watch.sample((rec) => one.product.record(rec, tensors), repeats);
    return Math.min(host, device ?? Infinity);
  };
  await sample(rule, 1); // compiles
  const once = await sample(rule, 1);
  if (once > LONGEST_MS) return null;
  for (const tile of tiles.keys()) if (tile !== rule) await sample(tile, 1); // compiles
  const repeats = Math.min(MAX_REPEATS, Math.ceil(SAMPLE_MS / once));
  return { rule, ...(await fastest(tiles.length, rule, (tile) => sample(tile, repeats))) };
}

function fits({ limits }: Gpu, { tensors }: KernelCase): boolean {
  const most = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  return Object.values(tensors).every(({ shape, dtype }) => byteLength(shape, dtype) <= most);
}

/** The tensors of a product in those of one with more rows. */
const within = (room: Record<string, Tensor>, { tensors }: KernelCase): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, dtype }]) => [name, new Tensor(room[name]!.allocation, shape, dtype)]),
  );

/**
 * The fastest candidate where it beats the rule's by more than the middle half of either's samples spread, otherwise the rule's.
 * Samples are taken in turns, there and back, so that drift hits all alike.
 */
export async function fastest(
  candidates: number,
  rule: number,
  sample: (candidate: number) => Promise<number>,
): Promise<{ chosen: number; gain: number }> {
  const samples = Array.from({ length: candidates }, () => [] as number[]);
  let running = [...samples.keys()];
  for (let round = 0; round < ROUNDS && running.length > 1; round++) {
    for (const candidate of round % 2 === 0 ? running : running.toReversed())
      samples[candidate]!.push(await sample(candidate));
    const shortest = Math.min(...samples.flat());
    if (round === 0) running = running.filter((c) => c === rule || samples[c]![0]! <= HOPELESS * shortest);
  }
  if (running.length === 1) return { chosen: rule, gain: 1 };
  const times = samples.map(summarize);
  const best = running.reduce((a, b) => (times[b]!.median < times[a]!.median ? b : a));
  const [mine, other] = [times[best]!, times[rule]!];
  const isFaster = other.median - mine.median > Math.max(mine.iqr, other.iqr);
  return isFaster ? { chosen: best, gain: other.median / mine.median } : { chosen: rule, gain: 1 };
}
