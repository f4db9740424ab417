/**
 * Counter-based random numbers: a number is a function of a seed and of what it is for, so nothing has a state that a
 * checkpoint would have to hold. Philox4x32-10 (Salmon et al., SC 2011), the same as shaders/lib/rng.wgsl.
 */

const ROUNDS = 10;

/** High word of a 32 x 32 bit product. */
function multiplyHigh(a: number, b: number): number {
  const low = (a & 0xffff) * (b & 0xffff);
  const mid1 = (a >>> 16) * (b & 0xffff);
  const mid2 = (a & 0xffff) * (b >>> 16);
  const carry = ((low >>> 16) + (mid1 & 0xffff) + (mid2 & 0xffff)) >>> 16;
  return ((a >>> 16) * (b >>> 16) + (mid1 >>> 16) + (mid2 >>> 16) + carry) >>> 0;
}

/** Four random words from a counter of four and a key of two. */
export function philox(counter: ArrayLike<number>, key: ArrayLike<number>): [number, number, number, number] {
  let [c0, c1, c2, c3] = [counter[0]! >>> 0, counter[1]! >>> 0, counter[2]! >>> 0, counter[3]! >>> 0];
  let [k0, k1] = [key[0]! >>> 0, key[1]! >>> 0];
  for (let round = 0; round < ROUNDS; round++) {
    const highA = multiplyHigh(0xd2511f53, c0);
    const lowA = Math.imul(0xd2511f53, c0) >>> 0;
    const highB = multiplyHigh(0xcd9e8d57, c2);
    const lowB = Math.imul(0xcd9e8d57, c2) >>> 0;
    [c0, c1, c2, c3] = [(highB ^ c1 ^ k0) >>> 0, lowB, (highA ^ c3 ^ k1) >>> 0, lowA];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Uniform in [0, 1) with 53 bits, by seed and up to four keys (32-bit words). */
export function randomAt(seed: number, a: number, b = 0, c = 0, d = 0): number {
  const [high, low] = philox([a, b, c, d], [seed, Math.floor(seed / 2 ** 32)]);
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}

/** 0 to n - 1 in an order that depends on (seed, key) alone (Fisher-Yates). */
export function shuffledIndices(n: number, seed: number, key: number): number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(randomAt(seed, key, i) * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
