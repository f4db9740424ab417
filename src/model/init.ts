/** A standard normal number that depends on (seed, stream, index) alone: weights of a fresh model (splitmix64's mixer, Box-Muller). */
export function normalAt(seed: number, stream: number, index: number): number {
  const a = mix(seed, stream, 2 * index);
  const b = mix(seed, stream, 2 * index + 1);
  return Math.sqrt(-2 * Math.log((a + 1) / 2 ** 32)) * Math.cos((2 * Math.PI * b) / 2 ** 32);
}
