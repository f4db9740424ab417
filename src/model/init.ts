/** A standard normal number that depends on (seed, stream, index) alone: weights of a fresh model (Box-Muller). */
export function normalAt(seed: number, stream: number, index: number): number {
  const key = mix(mix(seed >>> 0, stream), index);
  return Math.sqrt(-2 * Math.log((mix(key, 1) + 1) / 2 ** 32)) * Math.cos((2 * Math.PI * mix(key, 2)) / 2 ** 32);
}

/** Uniform in (-1, 1), a function of (seed, stream, index) alone. */
export const uniformAt = (seed: number, stream: number, index: number): number =>
  (2 * mix(mix(mix(seed >>> 0, stream), index), 3) + 1) / 2 ** 32 - 1;

/** Two words to one, every bit of which depends on every bit of them (murmur3's finaliser). */
function mix(a: number, b: number): number {
  let h = (Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) + b) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
