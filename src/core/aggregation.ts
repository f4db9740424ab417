/**
 * How token losses become one loss. "sequence": the mean over a response's tokens, then over responses (the released
 * code). "token": the mean over all tokens of the mini-batch, which gives long responses more say.
 */
export const LOSS_AGGREGATIONS = ["sequence", "token"] as const;
export type LossAggregation = (typeof LOSS_AGGREGATIONS)[number];

/** The weight of each token of each response of a mini-batch; all weights times lengths sum to 1. */
export function tokenWeights(lengths: readonly number[], aggregation: LossAggregation): number[] {
  const tokens = lengths.reduce((a, b) => a + b, 0);
  return lengths.map((length) => (aggregation === "token" ? 1 / tokens : 1 / (length * lengths.length)));
}
