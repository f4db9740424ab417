/** One comparison with a reference: passes when `error` is at most `limit`. */
export interface Check {
  name: string;
  error: number;
  limit: number;
  pass: boolean;
}

export const check = (name: string, error: number, limit: number): Check => ({
  name,
  error,
  limit,
  pass: error <= limit,
});

/** |got - want| / |want| in the Euclidean norm; 0 / 0 is 0. NaN anywhere makes it NaN, which passes no limit. */
export function relativeL2(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let error = 0;
  let norm = 0;
  for (let i = 0; i < want.length; i++) {
    error += (got[i]! - want[i]!) ** 2;
    norm += want[i]! ** 2;
  }
  return error === 0 ? 0 : Math.sqrt(error / norm);
}

export function maxAbs(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let max = 0;
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i]! - want[i]!);
    if (!(error <= max)) max = error;
    if (Number.isNaN(max)) return max;
  }
  return max;
}

export function meanAbs(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < want.length; i++) sum += Math.abs(got[i]! - want[i]!);
  return sum / want.length;
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < b.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return dot / Math.sqrt(aa * bb);
}
