/** What is told of repeated measurements. */
export interface Summary {
  median: number;
  /** Between the quartiles lie the middle half of the measurements. */
  iqr: number;
  min: number;
  count: number;
}

/** The value below which the share `q` of the sorted numbers lies, interpolated linearly between neighbours. */
export function quantile(sorted: readonly number[], q: number): number {
  const at = q * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

export function summarize(values: readonly number[]): Summary {
  if (values.length === 0) throw new Error("expected at least one measurement, got none");
  const sorted = values.toSorted((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    iqr: quantile(sorted, 0.75) - quantile(sorted, 0.25),
    min: sorted[0]!,
    count: sorted.length,
  };
}
