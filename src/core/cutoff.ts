/** A judged response: tokens, and whether it ended by itself with the right answer. */
export interface ScoredResponse {
  length: number;
  correct: boolean;
}

/**
 * Accuracy and mean tokens had generation stopped at `limit` tokens: the paper's cutoff baseline, scored from one set of
 * samples. A response that is longer counts as wrong and costs `limit` tokens.
 */
export function scoreAtCutoff(
  responses: readonly ScoredResponse[],
  limit: number,
): { accuracy: number; mean_length: number; clipped_ratio: number } {
  const mean = (value: (response: ScoredResponse) => number) =>
    responses.reduce((sum, response) => sum + value(response), 0) / responses.length;
  return {
    accuracy: mean(({ length, correct }) => Number(correct && length <= limit)),
    mean_length: mean(({ length }) => Math.min(length, limit)),
    clipped_ratio: mean(({ length }) => Number(length > limit)),
  };
}
