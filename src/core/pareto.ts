/** A model on the plane of the paper's figures 3, 4 and 7: mean tokens of a response, and the share of correct ones. */
export interface Traded {
  tokens: number;
  accuracy: number;
}

/** Those of `points` that no other beats, fewest tokens first: none has at most the tokens and at least the accuracy, and one of them better. */
export function paretoFront<P extends Traded>(points: readonly P[]): P[] {
  return points
    .filter(
      (p) =>
        !points.some(
          (q) => q.tokens <= p.tokens && q.accuracy >= p.accuracy && (q.tokens < p.tokens || q.accuracy > p.accuracy),
        ),
    )
    .sort((a, b) => a.tokens - b.tokens);
}

/**
 * Area under the front of `points`: the accuracy of the best point within t tokens (0 where none is), integrated over t from 0 to
 * `limit` and divided by it. It is the mean accuracy of whoever has a budget drawn evenly from 0 to `limit` tokens and takes the best
 * model within it: 0 where no point lies below the limit, and at most the highest accuracy. A staircase: nothing is interpolated, and
 * beaten points add nothing. In two dimensions it is the hypervolume of Zitzler and Thiele (1999) against (limit, 0), over the limit.
 *
 * @param limit tokens, above 0
 */
export function frontArea(points: readonly Traded[], limit: number): number {
  const front = paretoFront(points.filter(({ tokens }) => tokens < limit));
  const area = front.reduce((sum, { tokens, accuracy }, i) => {
    const until = front[i + 1]?.tokens ?? limit;
    return sum + accuracy * (until - Math.max(0, tokens));
  }, 0);
  return area / limit;
}
