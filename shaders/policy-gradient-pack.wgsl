// The gradient of a chunk of the logits as an operand of products: what policy_gradient_dlogits of policy-gradient.wgsl gives, each row
// scaled and rounded as linear_pack of linear-pack.wgsl does, without the rows in f32 between them.
//
//   policy_gradient_pack   packed, exponents   overwritten
//
// Parallelisation: a workgroup to a row, which works its gradient out twice: for the largest magnitude, then to convert it.

const LANES = 256u;

struct Params {
  rows: u32,
  columns: u32, // of logits
  column0: u32, // the vocabulary's index of their first column
  inverse_temperature: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read> lse: array<f32>;
@group(0) @binding(4) var<storage, read> coefficient: array<f32>;
@group(0) @binding(5) var<storage, read_write> packed: array<PairWords>;
@group(0) @binding(6) var<storage, read_write> exponents: array<i32>;

var<workgroup> largest: atomic<u32>;

@compute @workgroup_size(LANES)
fn policy_gradient_pack(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = linear_group(wid, groups);
  if (row >= params.rows) { return; }
  let first = row * params.columns;
  let scale = coefficient[row] * params.inverse_temperature;
  let normalizer = lse[row];
  let target_column = targets[row] - params.column0; // beyond the columns, or wrapped around, in all chunks but one
  var own = 0u;
  for (var c = lane; c < params.columns; c += LANES) {
    own = max(own, magnitude(dlogit(logits[first + c], params.inverse_temperature, normalizer, scale, c == target_column)));
  }
  atomicMax(&largest, own); // the order does not matter: these are integers
  workgroupBarrier();
  let exponent = exponent_of(atomicLoad(&largest));
  if (lane == 0u) { exponents[row] = exponent; }
  let factors = factors_of_power(-exponent);
  let pairs = (params.columns + 7u) / 8u * 4u;
  for (var p = lane; p < pairs; p += LANES) {
    var both: vec2<f32>;
    for (var i = 0u; i < 2u; i++) {
      let c = 2u * p + i;
      let logit = logits[first + min(c, params.columns - 1u)];
      let gradient = dlogit(logit, params.inverse_temperature, normalizer, scale, c == target_column);
      both[i] = select(0.0, gradient, c < params.columns);
    }
    packed[row * pairs + p] = pair_words(both * factors.x * factors.y);
  }
}
