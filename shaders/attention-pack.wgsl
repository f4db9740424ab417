// Operands of attention-matrix-backward.wgsl, as the matrices' components in rows of octets (eight
// numbers, one or two 16-byte words; lib/matrix-*.wgsl), scaled by powers of two and with zeros from the head size to `section`:
//
//   attention_largest         partial     overwritten: of a share of q, k and v each, the largest magnitude
//   attention_exponents       exponents   overwritten: by which q, k and v are scaled down, one for each tensor
//   attention_pack_queries    queries     section 0 of every row overwritten: q
//   attention_pack_keys       keys        overwritten: k, then v
//   attention_pack_gradients  queries     section 1 of every row overwritten: dout 2^-e, e the row's own exponent
//                             records     overwritten: lse, delta 2^-(e + v's exponent), e and the sequence's first row, where
//                                         delta = sum dout out
//
// A tensor's one exponent serves q, k and v: what has f16's 11 bits or, as k and v from bf16, 8, keeps all of them down to
// 2^-28 of the tensor's largest. Gradients differ more from row to row, each has its own.
//
// Parallelisation: LANES neighbouring pairs at a time, eight lanes to a row of a head.

const LANES = 64u;
const HELPERS = 8u; // lanes of one row
const LARGEST_LANES = 256u;

struct Params {
  rows: u32,
  heads: u32,
  kv_heads: u32,
  pairs: u32,         // half the head size
  section_pairs: u32, // half of it with its zeros
  partials: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// Names that no function's parameter has, which whoever reads variables out of the text would take for them.
@group(0) @binding(1) var<storage, read> all_q: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> all_k: array<pair>;
@group(0) @binding(3) var<storage, read> all_v: array<pair>;
@group(0) @binding(4) var<storage, read> dout: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> saved_out: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read> saved_lse: array<f32>;
@group(0) @binding(7) var<storage, read> starts: array<u32>;
@group(0) @binding(8) var<storage, read_write> partial: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> saved_partial: array<vec4<u32>>;
@group(0) @binding(10) var<storage, read_write> exponents: array<i32>;
@group(0) @binding(11) var<storage, read> saved_exponents: array<i32>;
@group(0) @binding(12) var<storage, read_write> queries: array<u32>;
@group(0) @binding(13) var<storage, read_write> keys: array<u32>;
@group(0) @binding(14) var<storage, read_write> records: array<vec4<u32>>;

// ---- the tensors' exponents ----------------------------------------------------------------------------------------------

// Of q, k and v; integers, whose order does not matter.
var<workgroup> largest: array<atomic<u32>, 3>;

fn magnitude_of_pair(v: vec2<f32>) -> u32 { return max(magnitude(v.x), magnitude(v.y)); }

// The largest of every lane's, the same in all of them.
fn largest_of(own: vec3<u32>) -> vec3<u32> {
  for (var i = 0u; i < 3u; i++) { atomicMax(&largest[i], own[i]); }
  workgroupBarrier();
  return vec3(atomicLoad(&largest[0]), atomicLoad(&largest[1]), atomicLoad(&largest[2]));
}

@compute @workgroup_size(LARGEST_LANES)
fn attention_largest(
  @builtin(global_invocation_id) gid: vec3<u32>,
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  var own: vec3<u32>;
  let stride = params.partials * LARGEST_LANES;
  for (var i = gid.x; i < params.rows * params.heads * params.pairs; i += stride) {
    own.x = max(own.x, magnitude_of_pair(all_q[i]));
  }
  for (var i = gid.x; i < params.rows * params.kv_heads * params.pairs; i += stride) {
    own.y = max(own.y, magnitude_of_pair(unpack(all_k[i])));
    own.z = max(own.z, magnitude_of_pair(unpack(all_v[i])));
  }
  let all = largest_of(own);
  if (lane == 0u) { partial[wid.x] = vec4(all, 0u); }
}

@compute @workgroup_size(LARGEST_LANES)
fn attention_exponents(@builtin(local_invocation_index) lane: u32) {
  var own: vec3<u32>;
  for (var i = lane; i < params.partials; i += LARGEST_LANES) { own = max(own, saved_partial[i].xyz); }
  let all = largest_of(own);
  if (lane < 3u) { exponents[lane] = exponent_of(all[lane]); }
}

// ---- rows ----------------------------------------------------------------------------------------------------------------

fn scaled_down(v: vec2<f32>, exponent: i32) -> vec2<f32> {
  let factors = factors_of_power(-exponent);
  return v * factors.x * factors.y;
}

// The u32 at which a pair of a section begins, sections counted over all rows.
fn place_of(section: u32, pair_index: u32) -> u32 { return (section * params.section_pairs + pair_index) * WORDS; }

fn store_query(section: u32, pair_index: u32, value: vec2<f32>) {
  let words = pair_words(value);
  for (var w = 0u; w < WORDS; w++) { queries[place_of(section, pair_index) + w] = words[w]; }
}

fn store_key(section: u32, pair_index: u32, value: vec2<f32>) {
  let words = pair_words(value);
  for (var w = 0u; w < WORDS; w++) { keys[place_of(section, pair_index) + w] = words[w]; }
}

// Which row of which head, counted together, a lane helps with; it may be one too many.
fn item_of(wid: vec3<u32>, groups: vec3<u32>, lane: u32) -> u32 {
  return linear_group(wid, groups) * (LANES / HELPERS) + lane / HELPERS;
}

@compute @workgroup_size(LANES)
fn attention_pack_queries(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let item = item_of(wid, groups, lane);
  if (item >= params.rows * params.heads) { return; }
  for (var p = lane % HELPERS; p < params.section_pairs; p += HELPERS) {
    var value = vec2(0.0);
    if (p < params.pairs) { value = scaled_down(all_q[item * params.pairs + p], saved_exponents[0]); }
    store_query(2u * item, p, value);
  }
}

@compute @workgroup_size(LANES)
fn attention_pack_keys(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let item = item_of(wid, groups, lane);
  if (item >= params.rows * params.kv_heads) { return; }
  for (var p = lane % HELPERS; p < params.section_pairs; p += HELPERS) {
    var key = vec2(0.0);
    var value = vec2(0.0);
    if (p < params.pairs) {
      key = scaled_down(unpack(all_k[item * params.pairs + p]), saved_exponents[1]);
      value = scaled_down(unpack(all_v[item * params.pairs + p]), saved_exponents[2]);
    }
    store_key(2u * item, p, key);
    store_key(2u * item + 1u, p, value);
  }
}

var<workgroup> lane_delta: array<f32, LANES>;
var<workgroup> lane_largest: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn attention_pack_gradients(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let item = item_of(wid, groups, lane);
  let exists = item < params.rows * params.heads;
  let helper = lane % HELPERS;
  var own_delta = 0.0;
  var own_largest = 0u;
  if (exists) {
    for (var p = helper; p < params.pairs; p += HELPERS) {
      let gradient = dout[item * params.pairs + p];
      own_delta += dot(gradient, saved_out[item * params.pairs + p]);
      own_largest = max(own_largest, magnitude_of_pair(gradient));
    }
  }
  lane_delta[lane] = own_delta;
  lane_largest[lane] = own_largest;
  workgroupBarrier();
  if (!exists) { return; }

  var delta = 0.0;
  var row_largest = 0u;
  for (var i = lane - helper; i < lane - helper + HELPERS; i++) {
    delta += lane_delta[i];
    row_largest = max(row_largest, lane_largest[i]);
  }
  let exponent = exponent_of(row_largest);
  for (var p = helper; p < params.section_pairs; p += HELPERS) {
    var value = vec2(0.0);
    if (p < params.pairs) { value = scaled_down(dout[item * params.pairs + p], exponent); }
    store_query(2u * item + 1u, p, value);
  }
  if (helper == 0u) {
    let scaled_delta = scaled_down(vec2(delta), exponent + saved_exponents[2]).x;
    let start = starts[item / params.heads];
    records[item] = vec4(bitcast<u32>(saved_lse[item]), bitcast<u32>(scaled_delta), bitcast<u32>(exponent), start);
  }
}
