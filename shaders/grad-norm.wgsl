// The L2 norm over all gradients together, and the factor that clips it: out = [norm, min(1, max_norm / (norm + 1e-6))].
//
//   grad_norm_partial  partials   overwritten from params.first on: sums of squares of CHUNK numbers of one gradient
//   grad_norm_finish   out        overwritten
//
// Parallelisation: a workgroup of 64 lanes a chunk, a lane every 64th number; then one workgroup adds up the partial
// sums. Every sum is in a fixed order.

struct Params {
  size: u32,  // of grad, or number of partial sums
  first: u32, // this gradient's first partial sum
  max_norm: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;
@group(0) @binding(3) var<storage, read> sums: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const LANES = 64u;
const CHUNK = 8192u;
var<workgroup> lane_sums: array<f32, LANES>;

// Sum over the lanes, in order; valid in every lane.
fn sum_lanes(lane: u32, value: f32) -> f32 {
  lane_sums[lane] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) { sum += lane_sums[i]; }
  return sum;
}

@compute @workgroup_size(LANES)
fn grad_norm_partial(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let chunk = linear_group(wid, groups);
  let end = min((chunk + 1u) * CHUNK, params.size);
  var squares = 0.0;
  for (var i = chunk * CHUNK + lane; i < end; i += LANES) { squares += grad[i] * grad[i]; }
  let sum = sum_lanes(lane, squares);
  if (lane == 0u && chunk * CHUNK < params.size) { partials[params.first + chunk] = sum; }
}

@compute @workgroup_size(LANES)
fn grad_norm_finish(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.size; i += LANES) { sum += sums[i]; }
  let norm = sqrt(sum_lanes(lane, sum));
  if (lane == 0u) {
    out[0] = norm;
    out[1] = min(1.0, params.max_norm / (norm + 1e-6));
  }
}
