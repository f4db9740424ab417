/** y = softmax of the rows of x, `columns` numbers each. */
export function softmaxForward({ x, columns }: { x: Float64Array; columns: number }): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    const row = x.subarray(start, start + columns);
    const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const powers = row.map((v) => Math.exp(v - largest));
    const sum = powers.reduce((a, b) => a + b, 0);
    y.set(
      powers.map((v) => v / sum),
      start,
    );
  }
  return y;
}
