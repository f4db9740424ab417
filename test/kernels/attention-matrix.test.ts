import { describe, expect, test } from "vitest";
import type { Storage, Tensor } from "../../src/gpu/tensor.ts";
import type { Tier } from "../../src/gpu/tier.ts";
import { attentionBackward, attentionForward } from "../../src/kernels/attention.ts";
import * as twin from "../../src/reference/attention.ts";
import { expectClose, f64, guarded, randn, stored, testGpu, tiersHere } from "../helpers/gpu.ts";

const hasMatrices = (await tiersHere()).includes("matrices");

interface Case {
  /** Of the packed sequences. */
  lengths: number[];
  heads: number;
  kvHeads: number;
  headDim: number;
}

const total = ({ lengths }: Case) => lengths.reduce((a, b) => a + b, 0);

function bounds({ lengths }: Case) {
  const cuSeqlens = [0];
  for (const length of lengths) cuSeqlens.push(cuSeqlens.at(-1)! + length);
  const starts = lengths.flatMap((length, s) => Array<number>(length).fill(cuSeqlens[s]!));
  const ends = lengths.flatMap((length, s) => Array<number>(length).fill(cuSeqlens[s + 1]!));
  return { cuSeqlens, starts: Uint32Array.from(starts), ends: Uint32Array.from(ends) };
}

interface Values {
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
  dout: Float32Array;
}

/** Standard normal numbers; some queries are six times larger, so that their softmax is nearly one key's. */
function inputs(c: Case): Values {
  const rows = total(c);
  const { heads, kvHeads, headDim } = c;
  return {
    q: randn(1, rows * heads * headDim).map((v, i) => (Math.floor(i / headDim) % 5 === 2 ? 6 * v : v)),
    k: stored(randn(2, rows * kvHeads * headDim), "bf16"),
    v: stored(randn(3, rows * kvHeads * headDim), "bf16"),
    dout: randn(4, rows * heads * headDim),
  };
}

type Results = Record<"out" | "lse" | "dq" | "dk" | "dv", Float32Array>;

/** Both passes. */
async function run(
  c: Case,
  { q, k, v, dout }: Values,
  { tier = "matrices", storage = "bf16" }: { tier?: Tier; storage?: Storage } = {},
): Promise<Results> {
  const gpu = await testGpu(tier);
  const rec = gpu.recorder();
  const rows = total(c);
  const { heads, kvHeads, headDim } = c;
  const [queries, keys] = [
    [rows, heads, headDim],
    [rows, kvHeads, headDim],
  ];
  const { starts, ends } = bounds(c);
  const tensors = {
    q: gpu.upload(q, queries, "f32"),
    k: gpu.upload(k, keys, storage),
    v: gpu.upload(v, keys, storage),
    starts: gpu.upload(starts, [rows], "u32"),
  };
  const backward = {
    dout: gpu.upload(dout, queries, "f32"),
    ends: gpu.upload(ends, [rows], "u32"),
    delta: gpu.empty([rows, heads], "f32"),
  };
  const outputs = {
    out: guarded(gpu, queries, "f32"),
    lse: guarded(gpu, [rows, heads], "f32"),
    dq: guarded(gpu, queries, "f32"),
    dk: guarded(gpu, keys, "f32"),
    dv: guarded(gpu, keys, "f32"),
  };
  const [out, lse, dq, dk, dv] = Object.values(outputs).map(({ tensor }) => tensor) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const scale = 1 / Math.sqrt(headDim);
  attentionForward(rec, { ...tensors, out, lse, scale });
  attentionBackward(rec, { ...tensors, ...backward, out, lse, dq, dk, dv, scale });
  for (const { expectUntouched } of Object.values(outputs)) await expectUntouched();
  const [gotOut, gotLse, gotDq, gotDk, gotDv] = await gpu.readAllF32([out, lse, dq, dk, dv]);
  gpu.release(...Object.values(tensors), ...Object.values(backward), out, lse, dq, dk, dv);
  return { out: gotOut!, lse: gotLse!, dq: gotDq!, dk: gotDk!, dv: gotDv! };
}

const ONE = 2 ** -11; // f16 has 11 bits: the largest error of a rounded operand
const SUM = 1e-5; // of scores and sums in f32, as without matrices
/** Weights so small lose bits: p is scaled to 2^14, and ds by what the largest dout . v could be. */
const SMALLEST = { p: 2 ** -27, ds: 2 ** -20 };

interface Compared {
  want: Float64Array;
  /** Sum of the terms' magnitudes, which an error is measured by. */
  magnitude: Float64Array;
  bound: number;
}

/** What float64 makes of it, and how far from it matrices may be. */
function wanted(
  c: Case,
  { q, k, v, dout }: Values,
): Record<"out" | "dq" | "dk" | "dv", Compared> & { lse: Float64Array } {
  const { heads, kvHeads, headDim } = c;
  const scale = 1 / Math.sqrt(headDim);
  const { cuSeqlens } = bounds(c);
  const packed = { q: f64(q), k: f64(k), v: f64(v), cuSeqlens, heads, kvHeads, headDim, scale };
  const { out, lse } = twin.attentionForward(packed);
  const { dq, dk, dv } = twin.attentionBackward({ ...packed, dout: f64(dout) });

  const magnitude = [q, q, k, v].map(({ length }) => new Float64Array(length));
  const [ofOut, ofDq, ofDk, ofDv] = magnitude as [Float64Array, Float64Array, Float64Array, Float64Array];
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let i = cuSeqlens[s]!; i < cuSeqlens[s + 1]!; i++) {
      for (let head = 0; head < heads; head++) {
        const query = (i * heads + head) * headDim;
        let delta = 0;
        for (let d = 0; d < headDim; d++) delta += Math.abs(dout[query + d]! * out[query + d]!);
        for (let j = cuSeqlens[s]!; j <= i; j++) {
          const key = (j * kvHeads + Math.floor((head * kvHeads) / heads)) * headDim;
          let [score, slope] = [0, 0];
          for (let d = 0; d < headDim; d++) {
            score += scale * q[query + d]! * k[key + d]!;
            slope += Math.abs(dout[query + d]! * v[key + d]!);
          }
          const p = Math.exp(score - lse[i * heads + head]!);
          const ds = scale * (p + SMALLEST.ds) * (slope + delta);
          for (let d = 0; d < headDim; d++) {
            ofOut[query + d]! += (p + SMALLEST.p) * Math.abs(v[key + d]!);
            ofDq[query + d]! += ds * Math.abs(k[key + d]!);
            ofDk[key + d]! += ds * Math.abs(q[query + d]!);
            ofDv[key + d]! += (p + SMALLEST.p) * Math.abs(dout[query + d]!);
          }
        }
      }
    }
  }
  return {
    lse,
    out: { want: out, magnitude: ofOut, bound: ONE + SUM }, // p is rounded
    dq: { want: dq, magnitude: ofDq, bound: 2 * ONE + SUM }, // dout and ds
    dk: { want: dk, magnitude: ofDk, bound: 3 * ONE + SUM }, // dout, ds and q
    dv: { want: dv, magnitude: ofDv, bound: 2 * ONE + SUM }, // p and dout
  };
}

function expectWithin(got: Float32Array, { want, magnitude, bound }: Compared): void {
  const relative = (values: Float32Array | Float64Array) => magnitude.map((m, i) => values[i]! / (m || 1));
  // A softmax over one key has no gradient: what is left of dp - delta is all there is.
  if (want.every((value) => value === 0)) expect(relative(got).every((value) => Math.abs(value) <= bound)).toBe(true);
  else expectClose(relative(got), relative(want), { rtol: 0, atol: bound });
}

/** Compares both passes with float64, which has q as matrices take it. */
async function check(c: Case, values: Values): Promise<void> {
  const got = await run(c, values);
  const isRounded = (await testGpu("matrices")).matrices!.component === "f16";
  const want = wanted(c, isRounded ? { ...values, q: roundedRows(values.q, c.headDim) } : values);
  expectClose(got.lse, want.lse, { rtol: 1e-6, atol: 1e-5 });
  for (const name of ["out", "dq", "dk", "dv"] as const) expectWithin(got[name], want[name]);
}

/** Rows as components: each scaled so that its largest number is below 2^15, and rounded to f16. */
function roundedRows(values: Float32Array, headDim: number): Float32Array {
  return values.map((value, i) => {
    const first = i - (i % headDim);
    const largest = values.subarray(first, first + headDim).reduce((max, v) => Math.max(max, Math.abs(v)), 0);
    const scale = largest > 0 ? 2 ** (14 - Math.floor(Math.log2(largest))) : 1;
    return Math.f16round(value * scale) / scale;
  });
}

// Tiles whole and partial, within and across sequences; groups of 1 to 7 heads; heads with zeros and without, held in
// registers and not, shared by two subgroups and not; enough workgroups for the largest tiles and few.
const CASES: Case[] = [
  { lengths: [1], heads: 1, kvHeads: 1, headDim: 2 },
  { lengths: [1, 1, 2, 5, 1], heads: 4, kvHeads: 2, headDim: 6 },
  { lengths: [3, 70, 1, 28], heads: 2, kvHeads: 2, headDim: 10 },
  { lengths: [33, 9], heads: 7, kvHeads: 1, headDim: 24 },
  { lengths: [37, 16], heads: 6, kvHeads: 2, headDim: 64 },
  { lengths: [19, 2, 50], heads: 2, kvHeads: 1, headDim: 128 },
  { lengths: [70, 31], heads: 16, kvHeads: 16, headDim: 24 },
  { lengths: [70, 31], heads: 16, kvHeads: 16, headDim: 74 },
];

/** A case's sequence on its own. */
function alone(c: Case, values: Values, s: number): { c: Case; values: Values } {
  const { cuSeqlens } = bounds(c);
  const part = (data: Float32Array, heads: number) => {
    const perRow = heads * c.headDim;
    return data.slice(cuSeqlens[s]! * perRow, cuSeqlens[s + 1]! * perRow);
  };
  const { q, k, v, dout } = values;
  return {
    c: { ...c, lengths: [c.lengths[s]!] },
    values: { q: part(q, c.heads), k: part(k, c.kvHeads), v: part(v, c.kvHeads), dout: part(dout, c.heads) },
  };
}

describe.skipIf(!hasMatrices)(
  "attention on subgroup matrices [skipped where the adapter has none, and for software but with PITH_TIER=matrices]",
  () => {
    test.each(CASES)("$lengths, $heads / $kvHeads heads of $headDim", (c) => check(c, inputs(c)));

    const middle: Case = { lengths: [37, 16], heads: 4, kvHeads: 2, headDim: 24 };
    const row = (i: number) => Math.floor(i / (middle.heads * middle.headDim));
    test.each<{ name: string } & Partial<Record<keyof Values, (i: number) => number>>>([
      { name: "gradients of 1e-9", dout: () => 1e-9 },
      { name: "gradients of 1e-25", dout: () => 1e-25 },
      { name: "gradients of 1e20", dout: () => 1e20 },
      { name: "gradients with outliers", dout: (i) => (i % 97 === 5 ? 1e4 : 1) },
      { name: "rows of gradients a thousand times apart", dout: (i) => (row(i) % 3 === 1 ? 1e-3 : 1) },
      { name: "sequences of gradients 1e12 apart", dout: (i) => (row(i) < 37 ? 1e-6 : 1e6) },
      { name: "rows without a gradient", dout: (i) => (row(i) % 3 === 1 ? 1 : 0) },
      { name: "queries of a million", k: () => 1e-6, q: () => 1e6 },
      { name: "keys of a million", k: () => 1e6, q: () => 1e-6 },
      { name: "values of a million", v: () => 1e6 },
      { name: "values of 1e-9", v: () => 1e-9 },
      { name: "values with outliers", v: (i) => (i % 97 === 5 ? 100 : 1) },
    ])("$name keep f16's 11 bits", async ({ dout = () => 1, q = () => 1, k = () => 1, v = () => 1 }) => {
      const values = inputs(middle);
      await check(middle, {
        q: values.q.map((x, i) => x * q(i)),
        k: stored(
          values.k.map((x, i) => x * k(i)),
          "bf16",
        ),
        v: stored(
          values.v.map((x, i) => x * v(i)),
          "bf16",
        ),
        dout: values.dout.map((x, i) => x * dout(i)),
      });
    });

    test("gradients as far apart as f32 goes are finite", async () => {
      const values = inputs(middle);
      const dout = values.dout.map((x, i) => x * 10 ** (((i * 7) % 67) - 35));
      const { dq, dk, dv } = await run(middle, { ...values, dout });
      expect([...dq, ...dk, ...dv].every((value) => Number.isFinite(value))).toBe(true);
    });

    test("a gradient that is not a number shows, in its own row and in keys of its sequence", async () => {
      const c: Case = { ...middle, lengths: [70, 70] };
      const values = inputs(c);
      values.dout[75 * c.heads * c.headDim] = NaN;
      const { dq, dk, dv } = await run(c, values);
      const rowsOf = (data: Float32Array, heads: number) => {
        const rowSize = heads * c.headDim;
        const isBad = (t: number) =>
          data.subarray(t * rowSize, (t + 1) * rowSize).some((value) => !Number.isFinite(value));
        return Array.from({ length: total(c) }, (_, t) => t).filter(isBad);
      };
      expect(rowsOf(dq, c.heads)).toEqual([75]);
      for (const rows of [rowsOf(dk, c.kvHeads), rowsOf(dv, c.kvHeads)]) {
        expect(rows).toEqual(expect.arrayContaining([70, 75]));
        // A tile of keys may reach into the sequence before.
        expect(rows[0]).toBeGreaterThan(70 - 64);
      }
    });

    test("two runs have the same bits", async () => {
      const c: Case = { lengths: [3, 90, 40], heads: 6, kvHeads: 2, headDim: 24 };
      const values = inputs(c);
      expect(await run(c, values)).toEqual(await run(c, values));
    });

    test("a sequence's gradients depend on the batch by the order of their sums alone", async () => {
      const c: Case = { lengths: [21, 50, 9], heads: 4, kvHeads: 2, headDim: 24 };
      const values = inputs(c);
      const all = await run(c, values);
      for (const s of [0, 1, 2]) {
        const part = alone(c, values, s);
        const want = wanted(part.c, part.values);
        const got = await run(part.c, part.values);
        for (const name of ["dq", "dk", "dv"] as const) {
          const perRow = (name === "dq" ? c.heads : c.kvHeads) * c.headDim;
          const first = bounds(c).cuSeqlens[s]! * perRow;
          const batched = all[name].subarray(first, first + got[name].length);
          expectWithin(batched, { ...want[name], want: f64(got[name]), bound: 1e-6 });
        }
      }
    });

    test.each([
      { name: "keys in f32", c: middle, storage: "f32" as const },
      { name: "heads above 128", c: { lengths: [9], heads: 2, kvHeads: 1, headDim: 130 }, storage: "bf16" as const },
    ])("$name have the bits of the tier with subgroups", async ({ c, storage }) => {
      const values = inputs(c);
      const got = await run(c, values, { storage });
      expect(got).toEqual(await run(c, values, { tier: "subgroups", storage }));
    });
  },
);
