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
