import { expect, test } from "vitest";
import {
  attentionBackward,
  attentionForward,
  attentionMerge,
  attentionPartial,
} from "../../src/reference/attention.ts";
import { dot, expectGradient } from "../helpers/finite-difference.ts";
import { expectClose, f64, randn } from "../helpers/gpu.ts";

const sizes = { heads: 4, kvHeads: 2, headDim: 6, scale: 0.4 };
const cuSeqlens = [0, 3, 4, 8];

const inputs = () => ({
  q: f64(randn(1, 8 * 4 * 6)),
  k: f64(randn(2, 8 * 2 * 6)),
  v: f64(randn(3, 8 * 2 * 6)),
  cuSeqlens,
  ...sizes,
});

test("equal scores average the values seen so far; heads 2h and 2h + 1 read key head h", () => {
  const v = f64([1, 10, 3, 30, 5, 50]); // 3 rows, 2 key heads, head size 1
  const { out, lse } = attentionForward({
    q: new Float64Array(12),
    k: f64(randn(1, 6)),
    v,
    cuSeqlens: [0, 2, 3],
    heads: 4,
    kvHeads: 2,
    headDim: 1,
    scale: 1,
  });
  expect(Array.from(out)).toEqual([1, 1, 10, 10, 2, 2, 20, 20, 5, 5, 50, 50]);
  expectClose(lse, [0, 0, 0, 0, Math.LN2, Math.LN2, Math.LN2, Math.LN2, 0, 0, 0, 0], { rtol: 1e-15, atol: 1e-15 });
});

test("the gradients are those of the forward pass", () => {
  const x = inputs();
  const dout = f64(randn(4, x.q.length));
  const { dq, dk, dv } = attentionBackward({ ...x, dout });
  const loss = () => dot(attentionForward(x).out, dout);
  expectGradient(dq, loss, x.q);
  expectGradient(dk, loss, x.k);
  expectGradient(dv, loss, x.v);
});

test("blocks of keys, each on its own, merge into attention over all of them", () => {
  const [rows, headDim] = [7, 4];
  const [q, k, v] = [1, 2, 3].map((seed) => f64(randn(seed, rows * headDim))) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const whole = { q, k, v, cuSeqlens: [0, rows], heads: 1, kvHeads: 1, headDim, scale: 3 };
  const { out, lse } = attentionForward(whole);
  const last = (values: Float64Array) => values.subarray(-headDim);
  const partials = [0, 3, 6].map((first) => {
    const part = (values: Float64Array) => values.subarray(first * headDim, (first + 3) * headDim);
    return attentionPartial(last(q), part(k), part(v), whole.scale);
  });
  const merged = attentionMerge(partials);
  expectClose(merged.out, last(out), { rtol: 1e-14, atol: 1e-15 });
  expectClose([merged.lse], [lse.at(-1)!], { rtol: 1e-14, atol: 0 });
  // Of a block, m is its largest score and o what l would divide.
  const { m, l, o } = partials[2]!;
  expect([m, l]).toEqual([3 * dot(last(q), last(k)), 1]);
  expect(o).toEqual(last(v));
});
