/** Standard Gumbel noise from 32 bits. */
export function gumbel(bits: number): number {
  const v = Math.min(Math.max(bits * 2 ** -32, 2 ** -33), 1 - 2 ** -24);
  return -Math.log(-Math.log1p(-v));
}
