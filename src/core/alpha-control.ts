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

/** The length of an iteration's responses is noisy: it is read off a straight line through this many iterations. */
const LINE = 6;
/** Alpha for a target length; below 0 a longer response earns more. */
const LENGTH_BOUNDS = [-0.2, 0.5] as const;
/** What an iteration adds to the alpha that holds the length, per unit of excess. */
const INTEGRAL = 0.1;

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
 * For a target length, alpha is the excess, the logarithm of length / target, plus an integral of it that comes to hold the
 * length (a PI controller), from -0.2 to 0.5: below 0, where responses are too short, length is paid for. A largest drop of accuracy gives alpha 0 for four iterations, whose mean is the
 * reference, then raises alpha while the running mean of accuracy is above reference - drop and lowers it ten times as fast
 * below, from 0 to 0.6. Both act on sampled training responses: noise of the samples is noise of alpha.
 */
export function steerAlpha(goal: AlphaGoal, history: readonly Measured[]): number {
  if ("alpha" in goal) return goal.alpha;
  if ("targetLength" in goal) {
    const excesses = history.map(({ meanLength }) => Math.log(meanLength / goal.targetLength));
    let integral = 0;
    let alpha = 0;
    for (let i = 1; i <= excesses.length; i++) {
      const excess = lineEnd(excesses.slice(Math.max(0, i - LINE), i));
      alpha = clamp(excess + integral, ...LENGTH_BOUNDS);
      // At a bound the integral waits: it would only have to be undone.
      if (alpha === excess + integral) integral += INTEGRAL * excess;
    }
    return alpha;
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

/** The value at its end of the straight line fitted to `values` at equal distances. */
function lineEnd(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const spread = values.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
  const slope = spread === 0 ? 0 : values.reduce((sum, value, i) => sum + (i - middle) * value, 0) / spread;
  return mean(values) + slope * middle;
}
