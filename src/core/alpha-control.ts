/**
 * Alpha steered by what a user wants instead of a value to guess (the paper, section 6): a length, or a loss of accuracy that
 * must not be exceeded. A function of what the iterations measured, so that a resumed run steers as an uninterrupted one.
 */
export type AlphaGoal = { alpha: number } | { targetLength: number } | { maxAccuracyDrop: number };

/** What an iteration measured on its own responses, before its update. */
export interface Measured {
  /** Mean tokens of a response. */
  meanLength: number;
  /** Share of correct responses. */
  accuracy: number;
}

/** The trend of the length is that of this many iterations, and is looked at this many ahead: updates act with delay. */
const TREND = 6;
const AHEAD = 3;
/** Alpha for a target length; below 0 a longer response earns more. */
const LENGTH_BOUNDS = [-0.2, 0.5] as const;

/** Iterations at alpha 0 whose mean accuracy is the one to keep. */
const REFERENCE_ITERATIONS = 4;
/** Share of the running mean that an iteration's accuracy makes up. */
const SMOOTHING = 0.2;
/** Change of alpha an iteration per unit of accuracy above and below the bound: it gives way faster than it presses on. */
const PRESS = 0.25;
const GIVE_WAY = 2.5;
const LARGEST = 0.6;

const clamp = (x: number, low: number, high: number) => Math.min(high, Math.max(low, x));
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/**
 * The alpha of the iteration that `history` ends with; `history` begins with the run's first iteration.
 *
 * For a target length, alpha is the logarithm of length / target that the trend of the last six iterations leads to in three
 * more, from -0.2 to 0.5: 0.1 where responses are about to be a tenth too long, and below 0, where length is paid for, once they
 * are about to be too short. A largest drop of accuracy gives alpha 0 for four iterations, whose mean is the
 * reference, then raises alpha while the running mean of accuracy is above reference - drop and lowers it ten times as fast
 * below, from 0 to 0.6. Both act on sampled training responses: noise of the samples is noise of alpha.
 */
export function steerAlpha(goal: AlphaGoal, history: readonly Measured[]): number {
  if ("alpha" in goal) return goal.alpha;
  if ("targetLength" in goal) {
    const excess = history.slice(-TREND).map(({ meanLength }) => Math.log(meanLength / goal.targetLength));
    return clamp(extrapolate(excess, AHEAD), ...LENGTH_BOUNDS);
  }

  const accuracies = history.map(({ accuracy }) => accuracy);
  const reference = mean(accuracies.slice(0, REFERENCE_ITERATIONS));
  let running = reference;
  let alpha = 0;
  for (const accuracy of accuracies.slice(REFERENCE_ITERATIONS)) {
    running += SMOOTHING * (accuracy - running);
    const slack = running - (reference - goal.maxAccuracyDrop);
    alpha = clamp(alpha + slack * (slack > 0 ? PRESS : GIVE_WAY), 0, LARGEST);
  }
  return alpha;
}

/** The value, `ahead` places after the last, of the straight line fitted to `values` at equal distances. */
function extrapolate(values: readonly number[], ahead: number): number {
  const middle = (values.length - 1) / 2;
  const spread = values.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
  const slope = spread === 0 ? 0 : values.reduce((sum, value, i) => sum + (i - middle) * value, 0) / spread;
  return mean(values) + slope * (middle + ahead);
}
