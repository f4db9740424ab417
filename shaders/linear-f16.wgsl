// The gradients of a linear layer with bf16 weights where there is f16 but no subgroup matrices: operands as linear-pack.wgsl
// leaves them, scaled rows of f16, half the bytes on their way from memory and in workgroup memory; products and sums are f32.
//
//   linear_backward_input    dx        dy W; added to if params.accumulate, otherwise overwritten
//   linear_backward_weight   dweight   added to: dy^T x
//
// Forward products are not here: those of the tier below keep the bits of f32 (linear-subgroup.wgsl).
//
// Parallelisation: a workgroup of 8 x 8 invocations computes a tile of 64 x 64, an invocation 8 x 8 of it. SLAB terms of the sum are
// staged at a time, by octets: eight numbers, one 16-byte load. Edges are zeros and are not stored.

// bf16, in rows of whole octets.
@group(0) @binding(16) var<storage, read> octets: array<vec4<u32>>;
// For linear_backward_weight: x, made by linear_pack_terms as dy is, and what their rows' exponents add up to.
@group(0) @binding(18) var<storage, read> packed_x: array<array<vec4<u32>, WORDS>>;
@group(0) @binding(19) var<storage, read> exponent_sum: array<i32>;

const SIDE = 8u; // invocations, and results of one
const TILE = SIDE * SIDE;
const THREADS = SIDE * SIDE;
const SLAB = 32u;
const SLAB_OCTETS = SLAB / 8u;
// 16 bytes more than a row holds keep neighbouring rows in different banks.
const ALONG = SLAB_OCTETS + 1u;
const ACROSS = TILE / 8u + 1u;

var<workgroup> left: array<vec4<u32>, max(TILE * ALONG, SLAB * ACROSS)>;
var<workgroup> right: array<vec4<u32>, SLAB * ACROSS>;

// Row r of an invocation's results, eight columns.
alias Eight = array<vec4<f32>, 2>;
alias Sums = array<Eight, SIDE>;

fn octets_in(columns: u32) -> u32 { return (columns + 7u) / 8u; }

fn eight(words: vec4<u32>) -> Eight {
  return Eight(vec4<f32>(bitcast<vec4<f16>>(words.xy)), vec4<f32>(bitcast<vec4<f16>>(words.zw)));
}

// One term of the sum: row r of the results gets rows[r] times the eight columns.
fn add_term(sums: ptr<function, Sums>, rows: Eight, columns: Eight) {
  for (var r = 0u; r < SIDE; r++) {
    let factor = vec4(rows[r / 4u][r % 4u]);
    for (var c = 0u; c < 2u; c++) { (*sums)[r][c] = fma(factor, columns[c], (*sums)[r][c]); }
  }
}

// Rows of dy along the sum, from its octet `start`.
fn stage_rows(first_row: u32, start: u32, lane: u32) {
  let row_octets = octets_in(params.outputs);
  for (var i = lane; i < TILE * SLAB_OCTETS; i += THREADS) {
    let row = first_row + i / SLAB_OCTETS;
    let at = start + i % SLAB_OCTETS;
    var octet = Octet();
    if (row < params.rows && at < row_octets) { octet = row_octet(row, at, row_octets); }
    left[i / SLAB_OCTETS * ALONG + i % SLAB_OCTETS] = octet[0];
  }
}

// Where octet i of a slab of terms is staged, and which term and which octet of the tile it is.
fn across(i: u32) -> vec3<u32> { return vec3(i / SIDE * ACROSS + i % SIDE, i / SIDE, i % SIDE); }

// Rows of W, each a term of the sum, from row `start`.
fn stage_weight_terms(first_column: u32, start: u32, lane: u32) {
  let row_octets = octets_in(params.inputs);
  for (var i = lane; i < SLAB * SIDE; i += THREADS) {
    let place = across(i);
    let term = start + place.y;
    let at = first_column / 8u + place.z;
    var octet = Octet();
    if (term < params.outputs && at < row_octets) { octet = widened(octets[(params.row0 + term) * row_octets + at]); }
    right[place.x] = octet[0];
  }
}

// Rows of dy and of x, each a term of the sum.
fn stage_terms(first_row: u32, first_column: u32, start: u32, lane: u32) {
  let dy_octets = octets_in(params.outputs);
  let x_octets = octets_in(params.inputs);
  for (var i = lane; i < SLAB * SIDE; i += THREADS) {
    let place = across(i);
    let term = start + place.y;
    let row_at = first_row / 8u + place.z;
    let column_at = first_column / 8u + place.z;
    var rows = Octet();
    var columns = Octet();
    if (term < params.rows && row_at < dy_octets) { rows = row_octet(term, row_at, dy_octets); }
    if (term < params.rows && column_at < x_octets) { columns = packed_x[term * x_octets + column_at]; }
    left[place.x] = rows[0];
    right[place.x] = columns[0];
  }
}

@compute @workgroup_size(SIDE, SIDE)
fn linear_backward_input(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let origin = wid.yx * TILE;
  var sums: Sums;
  for (var start = 0u; start < params.outputs; start += SLAB) {
    stage_rows(origin.x, start / 8u, lane);
    stage_weight_terms(origin.y, start, lane);
    workgroupBarrier();
    for (var octet = 0u; octet < SLAB_OCTETS; octet++) {
      // Of each row eight terms; a term is one number of each.
      var rows: array<Eight, SIDE>;
      for (var r = 0u; r < SIDE; r++) { rows[r] = eight(left[(lid.y * SIDE + r) * ALONG + octet]); }
      for (var t = 0u; t < 8u; t++) {
        var term: Eight;
        for (var r = 0u; r < SIDE; r++) { term[r / 4u][r % 4u] = rows[r][t / 4u][t % 4u]; }
        add_term(&sums, term, eight(right[(8u * octet + t) * ACROSS + lid.x]));
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < SIDE; r++) {
    let row = origin.x + lid.y * SIDE + r;
    let scale = power_of_two(exponent_of_row(min(row, params.rows - 1u)) - WEIGHT_EXPONENT);
    for (var p = 0u; p < 4u; p++) {
      let value = vec2(sums[r][p / 2u][p % 2u * 2u], sums[r][p / 2u][p % 2u * 2u + 1u]) * scale;
      store_dx(row, origin.y / 2u + lid.x * 4u + p, value);
    }
  }
}

@compute @workgroup_size(SIDE, SIDE)
fn linear_backward_weight(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let origin = wid.yx * TILE;
  var sums: Sums;
  for (var start = 0u; start < params.rows; start += SLAB) {
    stage_terms(origin.x, origin.y, start, lane);
    workgroupBarrier();
    for (var t = 0u; t < SLAB; t++) {
      add_term(&sums, eight(left[t * ACROSS + lid.y]), eight(right[t * ACROSS + lid.x]));
    }
    workgroupBarrier();
  }
  let scale = power_of_two(exponent_sum[0]);
  for (var r = 0u; r < SIDE; r++) {
    for (var p = 0u; p < 4u; p++) {
      let value = vec2(sums[r][p / 2u][p % 2u * 2u], sums[r][p / 2u][p % 2u * 2u + 1u]) * scale;
      add_to_dweight(origin.x + lid.y * SIDE + r, origin.y / 2u + lid.x * 4u + p, value);
    }
  }
}
