/**
 * How token losses become one loss, under TRL's names. "grpo": the mean over a response's tokens, then over responses (the
 * released code). "dapo": the mean over all tokens of the mini-batch, which gives long responses more say. "dr_grpo": the sum over
 * all tokens, divided by responses times tokens allowed: a token counts the same wherever it stands. "cispo": as dapo, of the loss
 * that holds the ratio constant.
 */
export const LOSS_TYPES = ["grpo", "dapo", "dr_grpo", "cispo"] as const;
export type LossType = (typeof LOSS_TYPES)[number];

/**
 * The weight of each token of each response of a mini-batch.
 *
 * @param lengths tokens of the responses
 * @param maxLength tokens allowed, for dr_grpo
 * @param trained whether a response counts; of one that does not every weight is 0. As in TRL the others do not take its share,
 * but for the means over tokens.
 */
export function tokenWeights(
  lengths: readonly number[],
  lossType: LossType,
  maxLength: number,
  trained: readonly boolean[] = lengths.map(() => true),
): number[] {
  const tokens = lengths.reduce((sum, length, i) => sum + (trained[i] ? length : 0), 0);
  return lengths.map((length, i) => {
    if (!trained[i]) return 0;
    if (lossType === "grpo") return 1 / (length * lengths.length);
    if (lossType === "dr_grpo") return 1 / (lengths.length * maxLength);
    return 1 / tokens;
  });
}
