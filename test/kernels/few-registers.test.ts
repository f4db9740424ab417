import { describe, expect, test } from "vitest";
import { attentionBackward, attentionForward, attentionPaged } from "../../src/kernels/attention.ts";
import { hasMatrices } from "../../src/kernels/attention-matrix.ts";
import * as kernel from "../../src/kernels/linear.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import type { Storage } from "../../src/gpu/tensor.ts";
import { fewRegisters, randn, stored, STORAGES, testGpu, tiersHere } from "../helpers/gpu.ts";

const tiers = await tiersHere();
const title = "kernels for invocations with few registers, %s [skipped where the adapter lacks the tier]";

/** Every product of a linear layer, of more rows and columns than a tile has. */
async function products(gpu: Gpu, storage: Storage): Promise<Float32Array[]> {
  const rec = gpu.recorder();
  const [rows, inputs, outputs] = [83, 134, 138];
  const x = gpu.upload(randn(1, rows * inputs), [rows, inputs], "f32");
  const dy = gpu.upload(randn(2, rows * outputs), [rows, outputs], "f32");
  const weights = (seed: number) =>
    gpu.upload(stored(randn(seed, outputs * inputs), storage), [outputs, inputs], storage);
  const [weight, upWeight] = [weights(3), weights(4)];
  const [y, gated, logits] = [1, 2, 3].map(() => gpu.empty([rows, outputs], "f32"));
  const dx = gpu.empty([rows, inputs], "f32");
  const dweight = gpu.zeros([outputs, inputs], "f32");
  kernel.linearForward(rec, { x, weight, y: y! });
  kernel.linearSwiglu(rec, { x, gateWeight: weight, upWeight, y: gated! });
  kernel.linearLogits(rec, { x, weight, row0: 0, rows: outputs, logits: logits! });
  kernel.linearBackwardInput(rec, { dy, weight, dx, accumulate: false });
  kernel.linearBackwardWeight(rec, { x, dy, dweight, storage });
  return gpu.readAllF32([y!, gated!, logits!, dx, dweight]);
}

/** Both passes over packed sequences, and the same keys from a cache: for rows that share a sequence, and for one row of each. */
async function attention(gpu: Gpu): Promise<Float32Array[]> {
  const rec = gpu.recorder();
  const storage = "bf16";
  const [heads, kvHeads, headDim, scale] = [6, 2, 24, 0.2];
  const lengths = [3, 150, 1, 20];
  const rows = lengths.reduce((a, b) => a + b);
  const starts = lengths.flatMap((length, s) =>
    Array<number>(length).fill(lengths.slice(0, s).reduce((a, b) => a + b, 0)),
  );
  const ends = starts.map((start) => starts.lastIndexOf(start) + 1);
  const u32 = (values: readonly number[]) => gpu.upload(Uint32Array.from(values), [values.length], "u32");
  const queries = (seed: number) => gpu.upload(randn(seed, rows * heads * headDim), [rows, heads, headDim], "f32");
  const keys = (seed: number) =>
    gpu.upload(stored(randn(seed, rows * kvHeads * headDim), storage), [rows, kvHeads, headDim], storage);
  const [q, k, v, dout] = [queries(1), keys(2), keys(3), queries(4)];
  const [out, dq] = [1, 2].map(() => gpu.empty([rows, heads, headDim], "f32"));
  const [lse, delta] = [1, 2].map(() => gpu.empty([rows, heads], "f32"));
  const [dk, dv] = [1, 2].map(() => gpu.empty([rows, kvHeads, headDim], "f32"));
  const packed = { q, k, v, starts: u32(starts), out: out!, lse: lse!, scale };
  attentionForward(rec, packed);
  attentionBackward(rec, { ...packed, dout, ends: u32(ends), delta: delta!, dq: dq!, dk: dk!, dv: dv! });

  // Pages of one row: position p of the sequence that begins at row b is row b + p.
  const firsts = [...new Set(starts)];
  const pages = firsts.flatMap((first) => Array.from({ length: rows }, (_, p) => Math.min(rows - 1, first + p)));
  const tables = gpu.upload(Uint32Array.from(pages), [firsts.length, rows], "u32");
  const paged = (picked: readonly number[]) => {
    const some = gpu.empty([picked.length, heads, headDim], "f32");
    const values = randn(1, rows * heads * headDim);
    const size = heads * headDim;
    const own = Float32Array.from(picked.flatMap((row) => [...values.subarray(row * size, (row + 1) * size)]));
    attentionPaged(rec, {
      q: gpu.upload(own, [picked.length, heads, headDim], "f32"),
      kCache: k,
      vCache: v,
      tables,
      slots: u32(picked.map((row) => firsts.indexOf(starts[row]!))),
      positions: u32(picked.map((row) => row - starts[row]!)),
      out: some,
      blockSize: 1,
      scale,
    });
    return some;
  };
  const all = paged(starts.map((_, row) => row));
  const last = paged([...new Set(ends)].map((end) => end - 1));
  return gpu.readAllF32([out!, lse!, dq!, dk!, dv!, all, last]);
}

describe.each(["subgroups", "matrices"] as const)(title, (tier) => {
  const here = tiers.includes(tier);

  test.skipIf(!here).each(STORAGES)("products have the bits of those with many, %s", async (storage) => {
    expect(await products(await fewRegisters(tier), storage)).toEqual(await products(await testGpu(tier), storage));
  });

  // On matrices, attention has another definition; without registers for that it keeps to this one.
  test.skipIf(!here)("attention has the bits of the tier subgroups", async () => {
    const gpu = await fewRegisters(tier);
    expect(hasMatrices(gpu, gpu.empty([1, 1, 16], "bf16"))).toBe(false);
    expect(await attention(gpu)).toEqual(await attention(await testGpu("subgroups")));
  });
});
