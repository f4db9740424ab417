/** 97.5% quantiles of Student's t by degrees of freedom, from 1 on; beyond the table the normal's is near enough. */
const T_975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
const NORMAL_975 = 1.96;

/** Mean of independent values and half the width of its 95% interval (Student's t); 0 for a single value, which has none. */
export function meanInterval(values: readonly number[]): { mean: number; half: number } {
  const n = values.length;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  if (n < 2) return { mean, half: 0 };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  return { mean, half: (T_975[n - 2] ?? NORMAL_975) * Math.sqrt(variance / n) };
}

/** Means over the last `width` values up to each place (the paper's figure 2: 25). */
export function runningMean(values: readonly number[], width: number): number[] {
  return values.map((_, i) => {
    const from = Math.max(0, i - width + 1);
    let sum = 0;
    for (let j = from; j <= i; j++) sum += values[j]!;
    return sum / (i - from + 1);
  });
}
