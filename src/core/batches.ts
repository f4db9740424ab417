import { shuffledIndices } from "./rng.ts";

/**
 * The optimizer's mini-batches of one iteration: `count` responses in a random order, in `numSteps` parts of nearly equal
 * size. As in the released code, the responses to one prompt may fall into different steps.
 */
export function miniBatches(count: number, numSteps: number, seed: number, iteration: number): number[][] {
  const order = shuffledIndices(count, seed, iteration);
  return Array.from({ length: numSteps }, (_, step) =>
    order.slice(Math.floor((step * count) / numSteps), Math.floor(((step + 1) * count) / numSteps)),
  ).filter((batch) => batch.length > 0);
}

/**
 * Splits items into micro-batches of at most `tokenBudget` tokens, longest first so that a micro-batch holds items of
 * similar length; an item longer than the budget goes alone.
 *
 * @param lengths tokens of each item, by index
 */
export function microBatches(items: readonly number[], lengths: readonly number[], tokenBudget: number): number[][] {
  const sorted = [...items].sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const batches: number[][] = [];
  let tokens = Infinity;
  for (const item of sorted) {
    if (tokens + lengths[item]! > tokenBudget) {
      batches.push([]);
      tokens = 0;
    }
    batches.at(-1)!.push(item);
    tokens += lengths[item]!;
  }
  return batches;
}
