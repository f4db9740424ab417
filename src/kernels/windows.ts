import type { Workspace } from "../gpu/workspace.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** Rows of a window of a matrix come in multiples of this, so that it begins where a binding may: at a multiple of 256 bytes. */
const ROWS = 128;
/** Elements of a window of a vector: as many as the norm of gradients adds up at a time. */
const ELEMENTS = 8192;
const LARGEST_ELEMENT_BYTES = 4;

export interface Window {
  /** First row of the whole. */
  first: number;
  part: Tensor;
}

/** `tensor` [N, ...] by pieces of `count` rows; itself where that is all. */
function* pieces(tensor: Tensor, count: number): Generator<Window> {
  const [rows = 0] = tensor.shape;
  if (rows <= count) return yield { first: 0, part: tensor };
  for (let first = 0; first < rows; first += count) {
    yield { first, part: tensor.rows(first, Math.min(count, rows - first)) };
  }
}

const most = (maxBindingSize: number, bytes: number, step: number): number =>
  maxBindingSize === Infinity ? Infinity : Math.max(1, Math.floor(maxBindingSize / bytes / step)) * step;

/** The rows of a matrix in pieces that a kernel can be given at once: one piece, itself, where the adapter can bind it whole. */
export function rowWindows({ maxBindingSize }: Workspace, matrix: Tensor): Generator<Window> {
  const [rows = 1] = matrix.shape;
  const whole = matrix.byteLength <= maxBindingSize;
  return pieces(matrix, whole ? rows : most(maxBindingSize, matrix.byteLength / rows, ROWS));
}

/** The elements of a tensor, in the same pieces for all tensors of its size, whatever their dtype. */
export function elementWindows({ maxBindingSize }: Workspace, tensor: Tensor): Generator<Window> {
  return pieces(tensor.view([tensor.size]), most(maxBindingSize, LARGEST_ELEMENT_BYTES, ELEMENTS));
}
