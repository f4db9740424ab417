interface Attention {
  /** [T, H, D] */
  q: Float64Array;
  /** [T, G, D], H a multiple of G. */
  k: Float64Array;
  v: Float64Array;
  /** [S + 1]: sequence s is the rows cuSeqlens[s] to cuSeqlens[s + 1]. */
  cuSeqlens: ArrayLike<number>;
  heads: number;
  kvHeads: number;
  headDim: number;
  scale: number;
}

/** Calls `visit` with the softmax weight of every (query, key) pair that attends, and with the query's log-sum-exp. */
function forEachPair(
  { q, k, cuSeqlens, heads, kvHeads, headDim, scale }: Attention,
  visit: (pair: { query: number; key: number; weight: number; row: number; head: number }) => void,
): Float64Array {
  const lse = new Float64Array((q.length / headDim) | 0);
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let i = cuSeqlens[s]!; i < cuSeqlens[s + 1]!; i++) {
      for (let head = 0; head < heads; head++) {
        const query = (i * heads + head) * headDim;
        const keys = Array.from(
          { length: i - cuSeqlens[s]! + 1 },
          (_, n) => ((cuSeqlens[s]! + n) * kvHeads + Math.floor((head * kvHeads) / heads)) * headDim,
        );
        const scores = keys.map((key) => scale * dot(q, query, k, key, headDim));
        const largest = Math.max(...scores);
        const total = largest + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - largest), 0));
        lse[i * heads + head] = total;
        keys.forEach((key, j) => visit({ query, key, weight: Math.exp(scores[j]! - total), row: i, head }));
      }
    }
  }
  return lse;
}

const dot = (a: Float64Array, i: number, b: Float64Array, j: number, n: number): number => {
  let sum = 0;
  for (let d = 0; d < n; d++) sum += a[i + d]! * b[j + d]!;
  return sum;
};

/** Causal attention within each sequence: out [T, H, D] and lse [T, H]. */
export function attentionForward(attention: Attention): { out: Float64Array; lse: Float64Array } {
  const out = new Float64Array(attention.q.length);
  const lse = forEachPair(attention, ({ query, key, weight }) => {
    for (let d = 0; d < attention.headDim; d++) out[query + d]! += weight * attention.v[key + d]!;
  });
  return { out, lse };
}

/** What attention over some keys alone leaves: the largest score, the sum of e^(score - m), and values weighted by that. */
export interface Partial {
  m: number;
  l: number;
  /** [D] */
  o: Float64Array;
}

/** Of one query over the keys given, q [D], k and v [n, D]. */
export function attentionPartial(q: Float64Array, k: Float64Array, v: Float64Array, scale: number): Partial {
  const headDim = q.length;
  const scores = Array.from({ length: k.length / headDim }, (_, j) => scale * dot(q, 0, k, j * headDim, headDim));
  const m = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - m));
  const o = new Float64Array(headDim);
  weights.forEach((weight, j) => o.forEach((_, d) => (o[d]! += weight * v[j * headDim + d]!)));
  return { m, l: weights.reduce((a, b) => a + b, 0), o };
}

/** Attention over the keys of all partials: out [D] and lse. */
export function attentionMerge(partials: readonly Partial[]): { out: Float64Array; lse: number } {
  const largest = Math.max(...partials.map(({ m }) => m));
  const factors = partials.map(({ m }) => Math.exp(m - largest));
  const total = partials.reduce((sum, { l }, b) => sum + factors[b]! * l, 0);
  const out = partials[0]!.o.map((_, d) => partials.reduce((sum, { o }, b) => sum + factors[b]! * o[d]!, 0) / total);
  return { out, lse: largest + Math.log(total) };
}

/** Gradients of attentionForward's out with respect to q, k and v. */
export function attentionBackward({ dout, ...attention }: Attention & { dout: Float64Array }): {
  dq: Float64Array;
  dk: Float64Array;
  dv: Float64Array;
} {
  const { q, k, v, headDim, scale } = attention;
  const { out } = attentionForward(attention);
  const [dq, dk, dv] = [new Float64Array(q.length), new Float64Array(k.length), new Float64Array(v.length)];
  forEachPair(attention, ({ query, key, weight }) => {
    const ds = weight * (dot(dout, query, v, key, headDim) - dot(dout, query, out, query, headDim)) * scale;
    for (let d = 0; d < headDim; d++) {
      dq[query + d]! += ds * k[key + d]!;
      dk[key + d]! += ds * q[query + d]!;
      dv[key + d]! += weight * dout[query + d]!;
    }
  });
  return { dq, dk, dv };
}
