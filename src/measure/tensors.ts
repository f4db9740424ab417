import { packBf16 } from "../gpu/bf16.ts";
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
  gpu.recorder().submit(); // what is recorded may still use the buffer
  // Pieces start at whole words: an even count of bf16 elements.
  const step = PERIOD - 1;
  const piece = normal.map((v) => scale * v);
  const bytes = tensor.dtype === "bf16" ? packBf16(piece) : piece;
  const size = tensor.size + (tensor.dtype === "bf16" ? tensor.size % 2 : 0);
  const width = tensor.dtype === "bf16" ? 2 : 4;
  for (let first = 0; first < size; first += step) {
    const count = Math.min(step, size - first);
    gpu.device.queue.writeBuffer(tensor.buffer, first * width, bytes, 0, count);
  }
}
