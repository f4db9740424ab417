import { splitOnLanes } from "../../kernels/attention-lanes.ts";
import { attentionBackward, attentionForward, attentionPaged } from "../../kernels/attention.ts";
import { kvCacheWrite, kvPack } from "../../kernels/kv-cache.ts";
import * as twin from "../../reference/attention.ts";
import type { Bench, Trial } from "./trial.ts";

/** Two sequences of several blocks of keys each. */
const CU_SEQLENS = [0, 38, 119];
const ROWS = CU_SEQLENS.at(-1)!;

/** Heads as Qwen2.5-0.5B has them, and as larger models do. */
const HEADS = [
  { headDim: 64, heads: 7, kvHeads: 1 },
  { headDim: 128, heads: 6, kvHeads: 2 },
];
type Heads = (typeof HEADS)[number];

const BLOCK_SIZE = 16;

const sequenceOf = (row: number): number => (row < CU_SEQLENS[1]! ? 0 : 1);
const perRow = (value: (row: number) => number) => Array.from({ length: ROWS }, (_, row) => value(row));

function inputs(b: Bench, { headDim, heads, kvHeads }: Heads) {
  const [q, k, v] = [
    b.input([ROWS, heads, headDim], "f32"),
    b.input([ROWS, kvHeads, headDim]),
    b.input([ROWS, kvHeads, headDim]),
  ];
  const scale = 1 / Math.sqrt(headDim);
  const want = { q: q.values, k: k.values, v: v.values, cuSeqlens: CU_SEQLENS, heads, kvHeads, headDim, scale };
  return { q, k, v, scale, want };
}

const packed = (shape: Heads): Trial => ({
  name: `attention, D ${shape.headDim}`,
  hasProducts: true,
  run(b) {
    const { headDim, heads, kvHeads } = shape;
    const { q, k, v, scale, want } = inputs(b, shape);
    const [kPacked, vPacked] = [k, v].map(({ tensor }) => b.gpu.empty(tensor.shape, b.storage)) as [
      typeof k.tensor,
      typeof v.tensor,
    ];
    const f32 = ({ values, tensor }: typeof k) => b.given(Float32Array.from(values), tensor.shape).tensor;
    kvPack(b.rec, { k: f32(k), v: f32(v), kPacked, vPacked });
    const dout = b.input([ROWS, heads, headDim], "f32");
    const [out, dq] = [b.output(ROWS, heads, headDim), b.output(ROWS, heads, headDim)];
    const [dk, dv] = [b.output(ROWS, kvHeads, headDim), b.output(ROWS, kvHeads, headDim)];
    const [lse, delta] = [b.output(ROWS, heads), b.output(ROWS, heads)];
    const starts = b.indices(perRow((row) => CU_SEQLENS[sequenceOf(row)]!));
    const ends = b.indices(perRow((row) => CU_SEQLENS[sequenceOf(row) + 1]!));
    const tensors = { q: q.tensor, k: kPacked, v: vPacked, starts, scale };
    attentionForward(b.rec, { ...tensors, out, lse });
    attentionBackward(b.rec, { ...tensors, out, dout: dout.tensor, lse, ends, delta, dq, dk, dv });
    const gradients = twin.attentionBackward({ ...want, dout: dout.values });
    b.expect(out, twin.attentionForward(want).out);
    b.expect(dq, gradients.dq);
    b.expect(dk, gradients.dk);
    b.expect(dv, gradients.dv);
  },
});

/** `rows`: those whose queries attend, of all; the others' keys and values are in the cache. */
const paged = (
  kind: string,
  shape: Heads,
  rows: readonly number[],
  attend: typeof attentionPaged | typeof splitOnLanes,
): Trial => ({
  name: `${kind}, D ${shape.headDim}`,
  hasProducts: attend === attentionPaged,
  run(b) {
    const { headDim, heads, kvHeads } = shape;
    const { q, k, v, scale, want } = inputs(b, shape);
    // Blocks in no order, one of them nobody's.
    const tables = [
      [5, 2, 0, 0, 0, 0],
      [3, 8, 1, 7, 4, 6],
    ];
    const cache = () => b.gpu.empty([9 * BLOCK_SIZE, kvHeads, headDim], b.storage);
    const caches = { kCache: cache(), vCache: cache() };
    const paging = (of: readonly number[]) => ({
      positions: b.indices(of.map((row) => row - CU_SEQLENS[sequenceOf(row)]!)),
      slots: b.indices(of.map(sequenceOf)),
      tables: b.indices(tables.flat(), [2, 6]),
      blockSize: BLOCK_SIZE,
    });
    const f32 = ({ values, tensor }: typeof k) => b.given(Float32Array.from(values), tensor.shape).tensor;
    kvCacheWrite(b.rec, { k: f32(k), v: f32(v), ...caches, ...paging(perRow((row) => row)) });
    const width = heads * headDim;
    const pick = (values: Float64Array) =>
      Float32Array.from(rows.flatMap((row) => [...values.subarray(row * width, (row + 1) * width)]));
    const out = b.output(rows.length, heads, headDim);
    const queries = b.given(pick(q.values), [rows.length, heads, headDim]).tensor;
    attend(b.rec, { q: queries, ...caches, out, scale, ...paging(rows) });
    const all = twin.attentionForward(want).out;
    b.expect(
      out,
      rows.flatMap((row) => [...all.subarray(row * width, (row + 1) * width)]),
    );
  },
});

const LAST = [CU_SEQLENS[1]! - 1, ROWS - 1];

export const attentionTrials: readonly Trial[] = HEADS.flatMap((heads) => [
  packed(heads),
  paged(
    "paged attention",
    heads,
    perRow((row) => row),
    attentionPaged,
  ),
  paged("decode attention", heads, LAST, attentionPaged),
  paged("decode attention, blocks side by side", heads, LAST, splitOnLanes),
]);
