import { ShapeError } from "../errors.ts";

/** A tensor, or what stands for one. */
export interface Shaped {
  readonly shape: readonly number[];
}

type Tensors = Record<string, Shaped | undefined>;

/** Throws a ShapeError that names the operation, what it expected and the shapes that it got. */
export function check(ok: boolean, op: string, expected: string, tensors: Tensors): void {
  if (ok) return;
  const got = Object.entries(tensors).flatMap(([name, tensor]) => (tensor ? [`${name} [${tensor.shape}]`] : []));
  throw new ShapeError(`${op}: expected ${expected}, got ${got.join(", ")}`);
}

/** Whether `tensor` has this shape; an absent (optional) one has any. */
export const hasShape = (tensor: Shaped | undefined, ...shape: number[]): boolean =>
  !tensor || (tensor.shape.length === shape.length && tensor.shape.every((n, i) => n === shape[i]));
