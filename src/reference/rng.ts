/** 32 x 32 bits: [high, low] words of the product. */
function mulWide(a: number, b: number): [high: number, low: number] {
  const product = BigInt(a) * BigInt(b);
  return [Number(product >> 32n), Number(product & 0xffffffffn)];
}

/** Philox4x32-10 (Salmon et al., SC 2011): 128 bits from a counter of four words and a key of two. */
export function philox4x32(counter: ArrayLike<number>, key: ArrayLike<number>): Uint32Array {
  const c = Uint32Array.from(counter);
  const k = Uint32Array.from(key);
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = mulWide(0xd2511f53, c[0]!);
    const [high1, low1] = mulWide(0xcd9e8d57, c[2]!);
    c.set([high1 ^ c[1]! ^ k[0]!, low1, high0 ^ c[3]! ^ k[1]!, low0]);
    k[0]! += 0x9e3779b9;
    k[1]! += 0xbb67ae85;
  }
  return c;
}

/** Standard Gumbel noise from 32 bits. */
export function gumbel(bits: number): number {
  const v = Math.min(Math.max(bits * 2 ** -32, 2 ** -33), 1 - 2 ** -24);
  return -Math.log(-Math.log1p(-v));
}
