// Reductions over a workgroup of REDUCE_LANES invocations, in a fixed order. Every invocation gets the result; all must call.
// A barrier comes first, so that one call may follow another.

const REDUCE_LANES = 64u;
var<workgroup> reduce_values: array<f32, REDUCE_LANES>;

fn workgroup_sum(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  reduce_values[lane] = value;
  for (var half = REDUCE_LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { reduce_values[lane] += reduce_values[lane + half]; }
  }
  workgroupBarrier();
  return reduce_values[0];
}

fn workgroup_max(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  reduce_values[lane] = value;
  for (var half = REDUCE_LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { reduce_values[lane] = max(reduce_values[lane], reduce_values[lane + half]); }
  }
  workgroupBarrier();
  return reduce_values[0];
}
