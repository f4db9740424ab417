/** y [T, N] = x [T, K] W[N, K]^T + bias [N]. The shape follows from `inputs` = K and `outputs` = N. */
export function linearForward({
  x,
  weight,
  bias,
  inputs,
  outputs,
}: {
  x: Float64Array;
  weight: Float64Array;
  bias?: Float64Array;
  inputs: number;
  outputs: number;
}): Float64Array {
  const rows = x.length / inputs;
  const y = new Float64Array(rows * outputs);
  for (let t = 0; t < rows; t++) {
    for (let n = 0; n < outputs; n++) {
      let sum = bias?.[n] ?? 0;
      for (let k = 0; k < inputs; k++) sum += x[t * inputs + k]! * weight[n * inputs + k]!;
      y[t * outputs + n] = sum;
    }
  }
  return y;
}

/** dx [T, K] = dy [T, N] W. */
export function linearBackwardInput({
  dy,
  weight,
  inputs,
  outputs,
}: {
  dy: Float64Array;
  weight: Float64Array;
  inputs: number;
  outputs: number;
}): Float64Array {
  const rows = dy.length / outputs;
  const dx = new Float64Array(rows * inputs);
  for (let t = 0; t < rows; t++) {
    for (let n = 0; n < outputs; n++) {
      for (let k = 0; k < inputs; k++) dx[t * inputs + k]! += dy[t * outputs + n]! * weight[n * inputs + k]!;
    }
  }
  return dx;
}

/** dW [N, K] = dy^T x. */
export function linearBackwardWeight({
  x,
  dy,
  inputs,
  outputs,
}: {
  x: Float64Array;
  dy: Float64Array;
  inputs: number;
  outputs: number;
}): Float64Array {
  const rows = dy.length / outputs;
  const dweight = new Float64Array(outputs * inputs);
  for (let t = 0; t < rows; t++) {
    for (let n = 0; n < outputs; n++) {
      for (let k = 0; k < inputs; k++) dweight[n * inputs + k]! += dy[t * outputs + n]! * x[t * inputs + k]!;
    }
  }
  return dweight;
}

/** dbias [N] = the sum of dy over its rows. */
export function linearBackwardBias({ dy, outputs }: { dy: Float64Array; outputs: number }): Float64Array {
  const dbias = new Float64Array(outputs);
  for (let i = 0; i < dy.length; i++) dbias[i % outputs]! += dy[i]!;
  return dbias;
}
