/**
 * Writes rows [R, rowSize] into the cache [numBlocks * blockSize, rowSize], each at its position of the sequence whose
 * block table is row slots[r] of tables [S, maxBlocks].
 */
export function kvCacheWrite({
  rows,
  cache,
  rowSize,
  positions,
  slots,
  tables,
  maxBlocks,
  blockSize,
}: {
  rows: Float64Array;
  cache: Float64Array;
  rowSize: number;
  positions: ArrayLike<number>;
  slots: ArrayLike<number>;
  tables: ArrayLike<number>;
  maxBlocks: number;
  blockSize: number;
}): void {
  for (let r = 0; r < positions.length; r++) {
    const block = tables[slots[r]! * maxBlocks + Math.floor(positions[r]! / blockSize)]!;
    const row = block * blockSize + (positions[r]! % blockSize);
    cache.set(rows.subarray(r * rowSize, (r + 1) * rowSize), row * rowSize);
  }
}
