// The gated activation and its gradients as operands of products: what swiglu_backward of swiglu.wgsl gives, each row scaled and
// rounded as linear_pack of linear-pack.wgsl does, without the rows in f32 between them.
//
//   swiglu_pack_backward   packed_gate, exponents_gate   overwritten: dgate
//                          packed_up, exponents_up       overwritten: dup
//                          packed_y, exponents_y         overwritten: y, from gate and up as they are kept
//
// Parallelisation: a workgroup to a row, which works its numbers out twice: for the largest magnitudes, then to convert them.

const LANES = 256u;

struct Params {
  rows: u32,
  pairs: u32, // of a row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate: array<pair>;
@group(0) @binding(2) var<storage, read> up: array<pair>;
@group(0) @binding(3) var<storage, read> dy: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> packed_gate: array<PairWords>;
@group(0) @binding(5) var<storage, read_write> packed_up: array<PairWords>;
@group(0) @binding(6) var<storage, read_write> exponents_gate: array<i32>;
@group(0) @binding(7) var<storage, read_write> exponents_up: array<i32>;

@group(0) @binding(8) var<storage, read_write> packed_y: array<PairWords>;
@group(0) @binding(9) var<storage, read_write> exponents_y: array<i32>;

var<workgroup> largest_gate: atomic<u32>;
var<workgroup> largest_up: atomic<u32>;
var<workgroup> largest_y: atomic<u32>;

struct Numbers {
  dgate: vec2<f32>,
  dup: vec2<f32>,
  y: vec2<f32>,
}

// Of a pair.
fn numbers(at: u32) -> Numbers {
  let z = unpack(gate[at]);
  let u = unpack(up[at]);
  let s = sigmoid(z);
  return Numbers(dy[at] * u * s * (1.0 + z * (1.0 - s)), dy[at] * z * s, z * s * u);
}

fn magnitude_of_pair(v: vec2<f32>) -> u32 { return max(magnitude(v.x), magnitude(v.y)); }

@compute @workgroup_size(LANES)
fn swiglu_pack_backward(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = linear_group(wid, groups);
  if (row >= params.rows) { return; }
  let first = row * params.pairs;
  var own = vec3(0u);
  for (var p = lane; p < params.pairs; p += LANES) {
    let all = numbers(first + p);
    own = max(own, vec3(magnitude_of_pair(all.dgate), magnitude_of_pair(all.dup), magnitude_of_pair(all.y)));
  }
  atomicMax(&largest_gate, own.x); // the order does not matter: these are integers
  atomicMax(&largest_up, own.y);
  atomicMax(&largest_y, own.z);
  workgroupBarrier();
  let exponent = vec3(
    exponent_of(atomicLoad(&largest_gate)),
    exponent_of(atomicLoad(&largest_up)),
    exponent_of(atomicLoad(&largest_y)),
  );
  if (lane == 0u) {
    exponents_gate[row] = exponent.x;
    exponents_up[row] = exponent.y;
    exponents_y[row] = exponent.z;
  }
  let gate_factors = factors_of_power(-exponent.x);
  let up_factors = factors_of_power(-exponent.y);
  let y_factors = factors_of_power(-exponent.z);
  let padded = (params.pairs + 3u) / 4u * 4u;
  for (var p = lane; p < padded; p += LANES) {
    var all: Numbers;
    if (p < params.pairs) { all = numbers(first + p); }
    packed_gate[row * padded + p] = pair_words(all.dgate * gate_factors.x * gate_factors.y);
    packed_up[row * padded + p] = pair_words(all.dup * up_factors.x * up_factors.y);
    packed_y[row * padded + p] = pair_words(all.y * y_factors.x * y_factors.y);
  }
}
