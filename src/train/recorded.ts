import type { Gpu } from "../gpu/gpu.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** Work that is on its way to the device and not waited for. */
export interface Recorded<R> {
  /** What it leaves to be read, f32. */
  readonly tensors: readonly Tensor[];
  /** What the tensors' contents say, once they are there. Called once; releases those tensors that are the work's own. */
  readonly result: (values: readonly Float32Array[]) => R;
}

/** The same work, its result seen through `change`. */
export const mapRecorded = <A, B>({ tensors, result }: Recorded<A>, change: (a: A) => B): Recorded<B> => ({
  tensors,
  result: (values) => change(result(values)),
});

/** Several pieces of work as one. */
export const joinRecorded = <T extends readonly unknown[]>(parts: {
  readonly [K in keyof T]: Recorded<T[K]>;
}): Recorded<T> => ({
  tensors: parts.flatMap(({ tensors }) => tensors),
  result: (values) => {
    let first = 0;
    const results = parts.map(({ tensors, result }) => result(values.slice(first, (first += tensors.length))));
    return results as unknown as T;
  },
});

/** Waits for the work and reads what it left, with one copy. */
export async function readRecorded<R>(gpu: Gpu, { tensors, result }: Recorded<R>): Promise<R> {
  return result(await gpu.readAllF32(tensors));
}
