// Operands of linear-matrix.wgsl, made ready for 16-byte loads: rows of octets, eight numbers each, zeros up to a whole octet.
//
//   linear_pack          packed, exponents           overwritten: row t of source times 2^-exponents[t], as the matrices' components
//   linear_term_scales   exponent_sum, term_scales   overwritten: for a sum over rows, from the exponents of both operands
//   linear_pack_weight   octets                      overwritten: rows row0 .. row0 + rows of a weight whose rows are not whole octets
//
// For a sum over rows, as in dy^T x, what is taken out of a row's two operands has to be the same for all rows. It is the
// largest sum of a row's own two exponents; what is missing to it is shared between the row's operands, so that rows whose
// products are 2^50 times smaller than the largest still count. Each operand is multiplied by its share as the product stages it.
//
// Parallelisation: a workgroup to a row, which linear_pack reads twice: for its largest magnitude, then to convert it. One
// workgroup does linear_term_scales.

const LANES = 64u;
const SUM_LANES = 256u;

struct Params {
  rows: u32,
  columns: u32,
  row0: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<u32>;
@group(0) @binding(3) var<storage, read_write> exponents: array<i32>;
@group(0) @binding(4) var<storage, read> row_exponents: array<i32>;
@group(0) @binding(5) var<storage, read> row_exponents_x: array<i32>;
@group(0) @binding(6) var<storage, read_write> exponent_sum: array<i32>;
@group(0) @binding(7) var<storage, read_write> term_scales: array<vec2<u32>>;
@group(0) @binding(8) var<storage, read> weight_pairs: array<u32>;
@group(0) @binding(9) var<storage, read_write> octets: array<u32>;

var<workgroup> largest: atomic<u32>;

fn source_at(row: u32, column: u32) -> f32 {
  return select(0.0, source[row * params.columns + min(column, params.columns - 1u)], column < params.columns);
}

// The same in all invocations of the workgroup.
fn exponent_of_source(row: u32, lane: u32) -> i32 {
  var own = 0u;
  for (var c = lane; c < params.columns; c += LANES) { own = max(own, magnitude(source_at(row, c))); }
  atomicMax(&largest, own); // the order does not matter: these are integers
  workgroupBarrier();
  return exponent_of(atomicLoad(&largest));
}

fn store_pair(octet: u32, place: u32, pair: vec2<f32>) {
  let words = pair_words(pair);
  for (var w = 0u; w < WORDS; w++) { packed[(4u * octet + place) * WORDS + w] = words[w]; }
}

// Two factors, because 2^-exponent itself may be no f32 where the product is one.
fn pack_row(row: u32, lane: u32, exponent: i32) {
  let half = exponent >> 1u;
  let scales = vec2(power_of_two(-half), power_of_two(half - exponent));
  let pairs = (params.columns + 7u) / 8u * 4u;
  for (var p = lane; p < pairs; p += LANES) {
    let pair = vec2(source_at(row, 2u * p), source_at(row, 2u * p + 1u)) * scales.x * scales.y;
    store_pair(row * (pairs / 4u) + p / 4u, p % 4u, pair);
  }
}

@compute @workgroup_size(LANES)
fn linear_pack(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = linear_group(wid, groups);
  if (row >= params.rows) { return; }
  let exponent = exponent_of_source(row, lane);
  if (lane == 0u) { exponents[row] = exponent; }
  pack_row(row, lane, exponent);
}

const LEAST_SUM = -252; // of two exponents: matrix-scale.wgsl's bounds
var<workgroup> largest_sum: atomic<i32>;

fn sum_of_exponents(row: u32) -> i32 { return row_exponents[row] + row_exponents_x[row]; }

@compute @workgroup_size(SUM_LANES)
fn linear_term_scales(@builtin(local_invocation_index) lane: u32) {
  if (lane == 0u) { atomicStore(&largest_sum, LEAST_SUM); }
  workgroupBarrier();
  var own = LEAST_SUM;
  for (var t = lane; t < params.rows; t += SUM_LANES) { own = max(own, sum_of_exponents(t)); }
  atomicMax(&largest_sum, own);
  workgroupBarrier();
  let sum = atomicLoad(&largest_sum);
  if (lane == 0u) { exponent_sum[0] = sum; }
  for (var t = lane; t < params.rows; t += SUM_LANES) {
    let missing = sum - sum_of_exponents(t);
    term_scales[t] = vec2(halving_word(missing >> 1u), halving_word(missing - (missing >> 1u)));
  }
}

@compute @workgroup_size(LANES)
fn linear_pack_weight(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = linear_group(wid, groups);
  if (row >= params.rows) { return; }
  let pairs = params.columns / 2u;
  let padded = (params.columns + 7u) / 8u * 4u;
  for (var p = lane; p < padded; p += LANES) {
    octets[row * padded + p] = select(0u, weight_pairs[(params.row0 + row) * pairs + min(p, pairs - 1u)], p < pairs);
  }
}
