/** The products that the benchmark compares: the same numbers and the same count of runs for all. */
export const RUNS = 7;
export const SIZES = [128, 256, 512] as const;

export interface Product {
  /** Median of the runs, after a warm-up. */
  seconds: number;
  /** [size, size], row by row. */
  result: Float32Array;
}

/** Numbers from -1 to 1, the same for the same seed. */
export const matrix = (size: number, seed: number): Float32Array =>
  Float32Array.from({ length: size * size }, (_, i) => Math.sin(seed + i * 0.7));

export const transposed = (a: Float32Array, size: number): Float32Array =>
  a.map((_, i) => a[(i % size) * size + Math.floor(i / size)]!);

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Largest difference over the largest value. */
export function difference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  let error = 0;
  for (let i = 0; i < a.length; i++) {
    largest = Math.max(largest, Math.abs(b[i]!));
    error = Math.max(error, Math.abs(a[i]! - b[i]!));
  }
  return error / largest;
}
