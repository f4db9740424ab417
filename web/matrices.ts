/** What the benchmark compares: the same numbers and the same count of runs for all. */
export const OPERATIONS = ["product", "softmax"] as const;
export type Operation = (typeof OPERATIONS)[number];

export const SIZES = [128, 256, 512] as const;

const RUNS = 3;

export interface Measured<T = Float32Array> {
  /** Median of the runs, after a warm-up. */
  seconds: number;
  /** [size, size], row by row. */
  result: T;
}

/** Numbers from -1 to 1, the same for the same seed. */
export const matrix = (size: number, seed: number): Float32Array =>
  Float32Array.from({ length: size * size }, (_, i) => Math.sin(seed + i * 0.7));

export const transposed = (a: Float32Array, size: number): Float32Array =>
  a.map((_, i) => a[(i % size) * size + Math.floor(i / size)]!);

export async function measure<T>(run: () => T | Promise<T>): Promise<Measured<T>> {
  let result = await run();
  const seconds: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    result = await run();
    seconds.push((performance.now() - start) / 1000);
  }
  return { seconds: seconds.sort((a, b) => a - b)[Math.floor(RUNS / 2)]!, result };
}

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
