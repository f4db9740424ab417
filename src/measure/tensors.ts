import type { Gpu } from "../gpu/gpu.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { normalAt } from "../model/init.ts";

/** Random numbers that are made; larger tensors repeat them. A prime, so that rows of no width repeat in step. */
const PERIOD = 1_048_573;

let normal: Float32Array | null = null;

/**
 * Fills an f32 or bf16 tensor with normal numbers of standard deviation `scale`. Zeros would do for the arithmetic, but hardware
 * draws less power on them and then runs faster than it does on weights.
 */
export function fillRandom(gpu: Gpu, tensor: Tensor, scale: number): void {
  normal ??= Float32Array.from({ length: PERIOD + 1 }, (_, i) => normalAt(1, 0, i));
  const { size, dtype } = tensor;
  // Pieces start at whole words: an even count of bf16 elements.
  const count = Math.min(PERIOD - 1, size);
  const piece = gpu.upload(
    normal.subarray(0, count).map((v) => scale * v),
    [count],
    dtype,
  );
  for (let first = 0; first < size; first += count)
    gpu.recorder().copy(piece.rows(0, Math.min(count, size - first)), tensor, first);
  gpu.release(piece);
}
