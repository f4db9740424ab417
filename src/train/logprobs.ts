import type { Model } from "../model/model.ts";
import type { Item, MicroBatches } from "./micro-batches.ts";
import { recordLogprobs } from "./policy.ts";
import { mapRecorded } from "./recorded.ts";

/** log p of every token of the items' sequences under `model`: per item and sequence f32 [its tokens], the first 0. */
export async function itemLogprobs(
  microBatches: MicroBatches,
  model: Model,
  items: readonly Item[],
  { temperature }: { temperature: number },
): Promise<Float32Array[][]> {
  const results = await microBatches.run(model, items, async (packed, indices, gpu) =>
    mapRecorded(await recordLogprobs(model, packed, { temperature }, gpu), ({ logprobs }) => ({
      indices,
      sequences: Array.from({ length: packed.cuSeqlens.length - 1 }, (_, s) =>
        logprobs.slice(packed.cuSeqlens[s], packed.cuSeqlens[s + 1]),
      ),
    })),
  );
  const logprobs: Float32Array[][] = items.map(() => []);
  for (const { indices, sequences } of results) {
    let next = 0;
    for (const i of indices) logprobs[i] = sequences.slice(next, (next += items[i]!.length));
  }
  return logprobs;
}
