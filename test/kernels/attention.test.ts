import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import type { Storage, Tensor } from "../../src/gpu/tensor.ts";
import type { Tier } from "../../src/gpu/tier.ts";
import { backwardOnLanes } from "../../src/kernels/attention-lanes-backward.ts";
import { forwardOnLanes, splitOnLanes, walkOnLanes } from "../../src/kernels/attention-lanes.ts";
import { hasMatrices, splitOnMatrices, walkOnMatrices } from "../../src/kernels/attention-matrix.ts";
import {
  attentionBackward,
  attentionForward,
  attentionPaged,
  backwardInRows,
  forwardInRows,
  pagedInRows,
} from "../../src/kernels/attention.ts";
import { kvCacheWrite } from "../../src/kernels/kv-cache.ts";
import * as twin from "../../src/reference/attention.ts";
import { verifyAttention } from "../../src/verify/pytorch/kernels.ts";
import { expectClose, f64, guarded, randn, stored, STORAGES, testGpu, tiersHere } from "../helpers/gpu.ts";
import { files } from "../helpers/host.ts";

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
  const sequences = lengths.map((_, s) => ({ start: cuSeqlens[s]!, end: cuSeqlens[s + 1]! }));
  const perRow = (f: (s: { start: number; end: number }) => number) =>
    Uint32Array.from(sequences.flatMap((s) => Array<number>(s.end - s.start).fill(f(s))));
  return { cuSeqlens, starts: perRow((s) => s.start), ends: perRow((s) => s.end) };
}

/** Standard normal numbers; some queries are six times larger, so that their softmax is nearly one key's. */
function inputs(c: Case, storage: Storage) {
  const rows = total(c);
  const { heads, kvHeads, headDim } = c;
  return {
    q: randn(1, rows * heads * headDim).map((v, i) => (Math.floor(i / headDim) % 5 === 2 ? 6 * v : v)),
    k: stored(randn(2, rows * kvHeads * headDim), storage),
    v: stored(randn(3, rows * kvHeads * headDim), storage),
    dout: randn(4, rows * heads * headDim),
  };
}

async function upload(c: Case, { q, k, v, dout }: ReturnType<typeof inputs>, storage: Storage, tier?: Tier) {
  const gpu = await testGpu(tier);
  const [queries, keys] = [
    [total(c), c.heads, c.headDim],
    [total(c), c.kvHeads, c.headDim],
  ];
  const { starts, ends } = bounds(c);
  return {
    q: gpu.upload(q, queries, "f32"),
    k: gpu.upload(k, keys, storage),
    v: gpu.upload(v, keys, storage),
    dout: gpu.upload(dout, queries, "f32"),
    starts: gpu.upload(starts, [starts.length], "u32"),
    ends: gpu.upload(ends, [ends.length], "u32"),
    scale: 1 / Math.sqrt(c.headDim),
  };
}

/** Runs both passes; the outputs are in guarded buffers. */
async function run(c: Case, values: ReturnType<typeof inputs>, storage: Storage, tier?: Tier) {
  const gpu = await testGpu(tier);
  const { dout, ends, ...tensors } = await upload(c, values, storage, tier);
  const { q, k, v } = tensors;
  const out = guarded(gpu, q.shape, "f32");
  const lse = guarded(gpu, [total(c), c.heads], "f32");
  const [dq, dk, dv] = [q, k, v].map((tensor) => guarded(gpu, tensor.shape, "f32"));
  attentionForward(gpu.recorder(), { ...tensors, out: out.tensor, lse: lse.tensor });
  attentionBackward(gpu.recorder(), {
    ...tensors,
    ends,
    dout,
    out: out.tensor,
    lse: lse.tensor,
    delta: gpu.empty([total(c), c.heads], "f32"),
    dq: dq!.tensor,
    dk: dk!.tensor,
    dv: dv!.tensor,
  });
  const outputs = { out, lse, dq: dq!, dk: dk!, dv: dv! };
  for (const output of Object.values(outputs)) await output.expectUntouched();
  const read = async (name: keyof typeof outputs) => gpu.readF32(outputs[name].tensor);
  return {
    out: await read("out"),
    lse: await read("lse"),
    dq: await read("dq"),
    dk: await read("dk"),
    dv: await read("dv"),
  };
}

// Tiles of 4, 2 and 1 queries and of 2 keys, whole and partial, within and across sequences; groups of 1 to 7 heads;
// sequences that are and are not multiples of four keys; odd and even halves of the head size, and chunks of 1 to 4 pairs.
const CASES: Case[] = [
  { lengths: [1], heads: 1, kvHeads: 1, headDim: 2 },
  { lengths: [1, 1, 2, 5, 1], heads: 4, kvHeads: 2, headDim: 6 },
  { lengths: [3, 70, 1, 28], heads: 2, kvHeads: 2, headDim: 10 },
  { lengths: [33, 9], heads: 7, kvHeads: 1, headDim: 24 },
  { lengths: [37, 16], heads: 6, kvHeads: 2, headDim: 64 },
];

describe.each(STORAGES)("attention in %s", (storage) => {
  test.each(storage === "f32" ? [...CASES, { lengths: [19, 2], heads: 2, kvHeads: 1, headDim: 128 }] : CASES)(
    "$lengths, $heads / $kvHeads heads of $headDim",
    async (c) => {
      // Of keys in bf16 subgroup matrices compute, with operands of 11 bits: see attention-matrix.test.ts.
      if (storage === "bf16" && (await testGpu()).tier === "matrices") return;
      const values = inputs(c, storage);
      const got = await run(c, values, storage);

      const { heads, kvHeads, headDim } = c;
      const packed = {
        q: f64(values.q),
        k: f64(values.k),
        v: f64(values.v),
        cuSeqlens: bounds(c).cuSeqlens,
        heads,
        kvHeads,
        headDim,
        scale: 1 / Math.sqrt(headDim),
      };
      const want = twin.attentionForward(packed);
      const wantGrad = twin.attentionBackward({ ...packed, dout: f64(values.dout) });
      expectClose(got.out, want.out, { rtol: 1e-5, atol: 1e-5 });
      expectClose(got.lse, want.lse, { rtol: 1e-6, atol: 1e-5 });
      // Sums over up to 70 rows and 7 heads.
      if (total(c) > 1) expectClose(got.dq, wantGrad.dq, { rtol: 1e-5, atol: 2e-5 });
      if (total(c) > 1) expectClose(got.dk, wantGrad.dk, { rtol: 1e-5, atol: 1e-4 });
      expectClose(got.dv, wantGrad.dv, { rtol: 1e-5, atol: 1e-4 });
    },
  );
});

test.skipIf((await tiersHere()).length === 1)(
  "subgroups give the baseline's bits [skipped where the baseline is all there is]",
  async () => {
    for (const c of CASES) {
      const values = inputs(c, "bf16");
      expect(await run(c, values, "bf16", "subgroups")).toEqual(await run(c, values, "bf16", "baseline"));
    }
  },
);

/** Every shape and loading of keys is a pipeline of its own, which a software adapter takes seconds to compile: in Node, all. */
const few = "Deno" in globalThis || "document" in globalThis;

// Whole and partial blocks and steps, sequences that share a tile, 1, 2 and 8 lanes, heads that end within an octet.
const SHAPES: Case[] = [
  { lengths: [1, 1, 2, 5, 1], heads: 4, kvHeads: 2, headDim: 6 },
  { lengths: [3, 140, 1, 28], heads: 7, kvHeads: 1, headDim: 24 },
  { lengths: [129, 6], heads: 2, kvHeads: 1, headDim: 128 },
];

/** Gradients take a software adapter longest to compile: short heads alone, whose rows end within an octet and do not. */
const hasGradients = (tier: Tier, headDim: number) =>
  !few && (headDim === 24 || (headDim === 6 && tier !== "baseline"));

/** Each in one storage: the cache's tests below load both. */
const LANES = SHAPES.map((c) => ({ ...c, storage: c.headDim === 6 ? ("f32" as const) : ("bf16" as const) }));

describe.each(await tiersHere())("attention spread over lanes, %s", (tier) => {
  test.each(few ? LANES.slice(1, 2) : LANES)(
    "has the bits of rows in single invocations: $lengths, $heads / $kvHeads heads of $headDim in $storage",
    async ({ storage, ...c }) => {
      const gpu = await testGpu(tier);
      const rec = gpu.recorder();
      const { dout, ends, ...tensors } = await upload(c, inputs(c, storage), storage, tier);
      const { q, k, v } = tensors;
      const lse = [total(c), c.heads];
      const ways = [
        { forward: forwardInRows, backward: backwardInRows },
        { forward: forwardOnLanes, backward: backwardOnLanes },
      ];
      const results = [];
      for (const { forward, backward } of ways) {
        const outputs = {
          out: guarded(gpu, q.shape, "f32"),
          lse: guarded(gpu, lse, "f32"),
          delta: guarded(gpu, lse, "f32"),
          dq: guarded(gpu, q.shape, "f32"),
          dk: guarded(gpu, k.shape, "f32"),
          dv: guarded(gpu, v.shape, "f32"),
        };
        const names = Object.keys(outputs) as (keyof typeof outputs)[];
        const written = Object.fromEntries(names.map((name) => [name, outputs[name].tensor]));
        forward(rec, { ...tensors, out: outputs.out.tensor, lse: outputs.lse.tensor });
        if (hasGradients(tier, c.headDim))
          backward(rec, { ...tensors, dout, ends, ...(written as Record<keyof typeof outputs, Tensor>) });
        for (const name of names) await outputs[name].expectUntouched();
        results.push(await gpu.readAllF32(names.map((name) => outputs[name].tensor)));
      }
      const [want, got] = results as [Float32Array[], Float32Array[]];
      expect(want.every((values) => values.every((value) => Number.isFinite(value)))).toBe(true);
      expect(got).toEqual(want);
    },
    300_000,
  );
});

test("a sequence has the same bits, forward and backward, alone and in a batch", async () => {
  const whole: Case = { lengths: [5, 31, 3, 18], heads: 4, kvHeads: 2, headDim: 24 };
  const values = inputs(whole, "f32");
  const all = await run(whole, values, "f32");
  const { heads, kvHeads, headDim } = whole;
  let row = 0;
  for (const length of whole.lengths) {
    const part = (data: Float32Array, perRow: number) => data.slice(row * perRow, (row + length) * perRow);
    const [queries, keys] = [heads * headDim, kvHeads * headDim];
    const alone = await run(
      { ...whole, lengths: [length] },
      {
        q: part(values.q, queries),
        k: part(values.k, keys),
        v: part(values.v, keys),
        dout: part(values.dout, queries),
      },
      "f32",
    );
    expect(alone).toEqual({
      out: part(all.out, queries),
      lse: part(all.lse, heads),
      dq: part(all.dq, queries),
      dk: part(all.dk, keys),
      dv: part(all.dv, keys),
    });
    row += length;
  }
});

// Whole octets of the head in both storages; the others in one, for every one takes seconds to compile.
const PAGED: (Case & { blockSize: number; storage: Storage })[] = [
  { storage: "f32", blockSize: 16, lengths: [5, 50, 1, 16, 33], heads: 4, kvHeads: 2, headDim: 24 },
  { storage: "bf16", blockSize: 16, lengths: [5, 50, 1, 16, 33], heads: 4, kvHeads: 2, headDim: 24 },
  { storage: "bf16", blockSize: 3, lengths: [13, 4, 22], heads: 7, kvHeads: 1, headDim: 24 },
  { storage: "f32", blockSize: 1, lengths: [6, 2], heads: 4, kvHeads: 2, headDim: 6 },
  { storage: "bf16", blockSize: 16, lengths: [3, 530], heads: 6, kvHeads: 1, headDim: 12 },
  { storage: "f32", blockSize: 8, lengths: [270], heads: 3, kvHeads: 1, headDim: 144 },
];

describe("attention through the cache", () => {
  test.each(few ? PAGED.slice(0, 2) : PAGED)(
    "has the bits of the packed batch: $lengths, blocks of $blockSize, $heads / $kvHeads heads of $headDim in $storage",
    async ({ storage, ...c }) => {
      const gpu = await testGpu();
      const rec = gpu.recorder();
      const { blockSize, heads, kvHeads, headDim } = c;
      const rows = total(c);
      const values = inputs(c, storage);
      const { q, k, v, starts, scale } = await upload(c, values, storage);
      const packed = gpu.empty(q.shape, "f32");
      attentionForward(rec, { q, k, v, starts, out: packed, lse: gpu.empty([rows, heads], "f32"), scale });

      // Blocks are handed out in a scrambled order; the cache holds NaN wherever no key was written.
      const maxBlocks = Math.ceil(Math.max(...c.lengths) / blockSize) + 1;
      const numBlocks = c.lengths.length * maxBlocks;
      const stride = [7, 11, 13].find((n) => numBlocks % n !== 0)!;
      const tables = gpu.upload(
        Uint32Array.from({ length: numBlocks }, (_, i) => (i * stride + 3) % numBlocks),
        [c.lengths.length, maxBlocks],
        "u32",
      );
      const cacheShape = [numBlocks * blockSize, kvHeads, headDim];
      const nothing = new Float32Array(numBlocks * blockSize * kvHeads * headDim).fill(NaN);
      const [kCache, vCache] = [gpu.upload(nothing, cacheShape, storage), gpu.upload(nothing, cacheShape, storage)];
      const slots = Uint32Array.from(c.lengths.flatMap((length, s) => Array<number>(length).fill(s)));
      const positions = bounds(c).starts.map((start, row) => row - start);
      const paging = {
        slots: gpu.upload(slots, [rows], "u32"),
        positions: gpu.upload(positions, [rows], "u32"),
        tables,
        blockSize,
      };
      const rows32 = (data: Float32Array) => gpu.upload(data, [rows, kvHeads, headDim], "f32");
      kvCacheWrite(rec, { k: rows32(values.k), v: rows32(values.v), kCache, vCache, ...paging });
      const want = await gpu.readBytes(packed);
      const ways = hasMatrices(gpu, k)
        ? { walkOnMatrices, splitOnMatrices }
        : { pagedInRows, ...(headDim <= 128 && { walkOnLanes, splitOnLanes }) };
      for (const [name, attend] of Object.entries(ways)) {
        const paged = guarded(gpu, q.shape, "f32");
        attend(rec, { q, kCache, vCache, out: paged.tensor, ...paging, scale });
        expect(await gpu.readBytes(paged.tensor), name).toEqual(want);
        await paged.expectUntouched();
      }

      // A batch of other rows in another order.
      const picked = Array.from({ length: rows }, (_, i) => i)
        .filter((i) => i % 3 !== 1)
        .reverse();
      const rowSize = heads * headDim;
      const pick = <A extends Uint32Array | Float32Array>(data: A, size: number, into: A) => {
        picked.forEach((row, i) => into.set(data.subarray(row * size, (row + 1) * size), i * size));
        return into;
      };
      const shape = [picked.length, heads, headDim];
      const some = gpu.empty(shape, "f32");
      attentionPaged(rec, {
        q: gpu.upload(pick(values.q, rowSize, new Float32Array(picked.length * rowSize)), shape, "f32"),
        kCache,
        vCache,
        tables,
        blockSize,
        scale,
        out: some,
        slots: gpu.upload(pick(slots, 1, new Uint32Array(picked.length)), [picked.length], "u32"),
        positions: gpu.upload(pick(positions, 1, new Uint32Array(picked.length)), [picked.length], "u32"),
      });
      const all = await gpu.readF32(packed);
      expect(await gpu.readF32(some)).toEqual(pick(all, rowSize, new Float32Array(picked.length * rowSize)));
    },
  );
});

const fixture = new URL("../../../shared/fixtures/transformers/attention.safetensors", import.meta.url).pathname;

test.skipIf(!(await files.exists(fixture)))("agrees with PyTorch [skipped where ../shared is absent]", async () => {
  const checks = [];
  for await (const check of verifyAttention(await testGpu(), files, fixture, "float32")) checks.push(check);
  expect(checks.length).toBe(12);
  expect(checks.filter((check) => !(check.error <= 2e-5))).toEqual([]);
});

test("shapes that do not fit are named", async () => {
  const gpu = await testGpu();
  const rec = gpu.recorder();
  const [q, k, starts, lse] = [
    gpu.zeros([3, 4, 6], "f32"),
    gpu.zeros([3, 3, 6], "f32"),
    gpu.zeros([3], "u32"),
    gpu.zeros([3, 4], "f32"),
  ];
  const out = gpu.empty(q.shape, "f32");
  expect(() => attentionForward(rec, { q, k, v: k, starts, out, lse, scale: 1 })).toThrow(
    /attention_forward.*k \[3,3,6\]/,
  );
  const large = gpu.zeros([1, 1, 258], "f32");
  expect(() => attentionForward(rec, { q: large, k: large, v: large, starts, out, lse, scale: 1 })).toThrow(ShapeError);
});
