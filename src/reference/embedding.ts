/** out [T, C]: row ids[t] of weight [V, C]. */
export function embeddingForward({
  ids,
  weight,
  columns,
}: {
  ids: Uint32Array;
  weight: Float64Array;
  columns: number;
}): Float64Array {
  const out = new Float64Array(ids.length * columns);
  ids.forEach((id, t) => out.set(weight.subarray(id * columns, (id + 1) * columns), t * columns));
  return out;
}

/** dweight [V, C]: for every id, the sum of dout's rows where it occurs. */
export function embeddingBackward({
  ids,
  dout,
  columns,
  vocabulary,
}: {
  ids: Uint32Array;
  dout: Float64Array;
  columns: number;
  vocabulary: number;
}): Float64Array {
  const dweight = new Float64Array(vocabulary * columns);
  ids.forEach((id, t) => {
    for (let c = 0; c < columns; c++) dweight[id * columns + c]! += dout[t * columns + c]!;
  });
  return dweight;
}
