/**
 * y = x / rms(x) * weight over rows of weight.length numbers, rms(x) = sqrt(mean(x^2) + eps); rstd = 1 / rms(x).
 * The query/key norm is the same over the rows of a [T, H, D] tensor's heads.
 */
export function rmsnormForward({ x, weight, eps }: { x: Float64Array; weight: Float64Array; eps: number }): {
  y: Float64Array;
  rstd: Float64Array;
} {
  const columns = weight.length;
  const y = new Float64Array(x.length);
  const rstd = new Float64Array(x.length / columns);
  for (let t = 0; t < rstd.length; t++) {
    let squares = 0;
    for (let c = 0; c < columns; c++) squares += x[t * columns + c]! ** 2;
    rstd[t] = 1 / Math.sqrt(squares / columns + eps);
    for (let c = 0; c < columns; c++) y[t * columns + c] = x[t * columns + c]! * rstd[t]! * weight[c]!;
  }
  return { y, rstd };
}

/** Gradients of rmsnormForward's y with respect to x and weight. */
export function rmsnormBackward({
  x,
  weight,
  rstd,
  dy,
}: {
  x: Float64Array;
  weight: Float64Array;
  rstd: Float64Array;
  dy: Float64Array;
}): { dx: Float64Array; dweight: Float64Array } {
  const columns = weight.length;
  const dx = new Float64Array(x.length);
  const dweight = new Float64Array(columns);
  for (let t = 0; t < rstd.length; t++) {
    let dot = 0;
    for (let c = 0; c < columns; c++) {
      const normal = x[t * columns + c]! * rstd[t]!;
      dot += dy[t * columns + c]! * weight[c]! * normal;
      dweight[c]! += dy[t * columns + c]! * normal;
    }
    for (let c = 0; c < columns; c++) {
      const normal = x[t * columns + c]! * rstd[t]!;
      dx[t * columns + c] = rstd[t]! * (dy[t * columns + c]! * weight[c]! - (normal * dot) / columns);
    }
  }
  return { dx, dweight };
}
