interface Rope {
  positions: ArrayLike<number>;
  /** [P, D]: cosines, then sines. */
  table: Float64Array;
  heads: number;
  headDim: number;
}

/** Turns each head of x [T, H, D] by its token's angles: element i with element i + D / 2. `sign` -1 turns back. */
function rotate(x: Float64Array, { positions, table, heads, headDim }: Rope, sign: number): Float64Array {
  const half = headDim / 2;
  const y = new Float64Array(x.length);
  for (let head = 0; head < x.length / headDim; head++) {
    const angles = positions[Math.floor(head / heads)]! * headDim;
    for (let i = 0; i < half; i++) {
      const [a, b] = [x[head * headDim + i]!, x[head * headDim + half + i]!];
      const [cosine, sine] = [table[angles + i]!, sign * table[angles + half + i]!];
      y[head * headDim + i] = a * cosine - b * sine;
      y[head * headDim + half + i] = b * cosine + a * sine;
    }
  }
  return y;
}

/** Rotary position embedding of x [T, H, D] (Su et al. 2021). */
export const ropeForward = ({ x, ...rope }: Rope & { x: Float64Array }): Float64Array => rotate(x, rope, 1);

/** Gradient of ropeForward's input, given that of its output. */
export const ropeBackward = ({ dx, ...rope }: Rope & { dx: Float64Array }): Float64Array => rotate(dx, rope, -1);
