const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

/** y = silu(gate) up, silu(z) = z sigmoid(z). */
export function swigluForward({ gate, up }: { gate: Float64Array; up: Float64Array }): Float64Array {
  return gate.map((z, i) => z * sigmoid(z) * up[i]!);
}

/** Gradients of swigluForward with respect to gate and up. */
export function swigluBackward({ gate, up, dy }: { gate: Float64Array; up: Float64Array; dy: Float64Array }): {
  dgate: Float64Array;
  dup: Float64Array;
} {
  const dgate = gate.map((z, i) => dy[i]! * up[i]! * sigmoid(z) * (1 + z * (1 - sigmoid(z))));
  const dup = gate.map((z, i) => dy[i]! * z * sigmoid(z));
  return { dgate, dup };
}
