import type { Cost } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** Tensors of which a product takes `outputs` rows, and may be given more. */
const CHUNKED = new Set(["weight", "octets", "up_weight", "up_octets", "dweight"]);
/** What a product is given beside what it takes, or adds to. */
const READ_AND_WRITTEN = new Set(["dweight"]);

/** Of rows x inputs x outputs multiply-adds, twice that for two weights: operands once, results once, what is added to twice. */
export function productCost(
  { rows = 0, inputs = 0, outputs = 0 }: Record<string, number>,
  buffers: Record<string, Tensor>,
): Cost {
  const weights = "up_weight" in buffers || "up_octets" in buffers ? 2 : 1;
  let bytes = 0;
  for (const [name, { byteLength, shape }] of Object.entries(buffers)) {
    const share = CHUNKED.has(name) ? Math.min(1, outputs / shape[0]!) : 1;
    bytes += byteLength * share * (READ_AND_WRITTEN.has(name) ? 2 : 1);
  }
  return { flops: 2 * weights * rows * inputs * outputs, bytes };
}
