enable subgroups;
enable chromium_experimental_subgroup_matrix;

// The linear layer on subgroup matrices, for weights stored in bf16: the entry points of linear.wgsl, with operands rounded to
// the matrices' components (f16, or f32 and then not rounded) and sums in f32.
//
//   linear_forward           y           overwritten, with residual added if params.has_residual
//   linear_swiglu            gate, up, y overwritten: x Wgate^T, x Wup^T and silu(gate) up
//   linear_logits            logits      overwritten: x W[row0 : row0 + outputs]^T, a chunk of the vocabulary
//   linear_backward_input    dx          dy W; added to if params.accumulate, otherwise overwritten
//   linear_backward_weight   dweight     added to: dy^T x
//
// Numbers. f16 has 11 bits and ends at 65504. Forward, x is two f16, a number's first bits and the rest (22 bits), because
// log-probabilities are compared with others' and a ratio near the edge of PPO's clip falls to one side of it; backward, dy and x
// are one. Every row of x and of dy is scaled by a power of two that brings its largest
// number below that (lib/matrix-scale.wgsl), so that no outlier overflows and small gradients keep their bits; results are
// scaled back, which is exact. Where the sum runs over the rows, in linear_backward_weight, the two exponents of every row have
// one sum (linear-pack.wgsl). A weight has 8 bits and is exact in f16 unless it is tiny (lib/matrix-f16.wgsl).
//
// Parallelisation: a workgroup computes a tile of GRID_ROWS x GRID_COLUMNS subgroups, each of which keeps FRAGMENT_ROWS x
// FRAGMENT_COLUMNS result matrices of M x N in registers. A slab of SLAB terms of the sum is staged in workgroup memory, by
// octets: eight numbers, one 16-byte load. Each invocation loads its octets of the next slab into registers before the matrices
// are multiplied and looks at them after, so that the loads have that long to arrive. Edges are zeros in the staged slabs and
// are not stored. Subgroups beyond the grid only stage, which makes any size of a subgroup up to the adapter's largest right.
//
// Every result is summed in steps of K terms in the order of the summed index, whatever its tile: a row has the same bits
// alone and among a thousand, and the tiles' sizes do not matter.
//
// The constants in capitals, and lib/linear-packed.wgsl or lib/linear-direct.wgsl for the left operand's rows, come from the host.

alias Left = subgroup_matrix_left<component, K, M>;
alias Right = subgroup_matrix_right<component, N, K>;
alias Result = subgroup_matrix_result<f32, N, M>;
alias Sums = array<array<Result, FRAGMENT_COLUMNS>, FRAGMENT_ROWS>;

// bf16, in rows of whole octets.
@group(0) @binding(16) var<storage, read> octets: array<vec4<u32>>;
@group(0) @binding(17) var<storage, read> up_octets: array<vec4<u32>>;
// For linear_backward_weight: x, made by linear_pack_terms as the left operand dy is, and what their rows' exponents add up to.
@group(0) @binding(18) var<storage, read> packed_x: array<array<vec4<u32>, WORDS>>;
@group(0) @binding(19) var<storage, read> exponent_sum: array<i32>;

const SUBGROUPS = GRID_ROWS * GRID_COLUMNS;
const SLAB_OCTETS = SLAB / 8u;
// A staged operand lies "along" the sum, a row of the tile after the other, or "across" it, a term after the other, as its
// source does. 16 bytes more than a row holds keep the rows of a matrix in different banks.
const ALONG = SLAB_OCTETS * WORDS + 1u;
const ROWS_ACROSS = TILE_ROWS / 8u * WORDS + 1u;
const COLUMNS_ACROSS = TILE_COLUMNS / 8u * WORDS + 1u;
const LEFT_SIZE = max(TILE_ROWS * ALONG, SLAB * ROWS_ACROSS);
const RIGHT_SIZE = max(TILE_COLUMNS * ALONG, SLAB * COLUMNS_ACROSS);
// Results on their way out: M rows of each row of subgroups.
const RESULT_STRIDE = TILE_COLUMNS / 4u + 1u;
const RESULT_SIZE = GRID_ROWS * M * RESULT_STRIDE;

var<workgroup> staged: array<vec4<u32>, max(LEFT_SIZE + RIGHT_SIZE, RESULT_SIZE)>;

// An invocation's octets of the next slab.
const LEFT_OCTETS = TILE_ROWS * SLAB_OCTETS;
const RIGHT_OCTETS = TILE_COLUMNS * SLAB_OCTETS;
const LEFT_SHARE = (LEFT_OCTETS + THREADS - 1u) / THREADS;
const RIGHT_SHARE = (RIGHT_OCTETS + THREADS - 1u) / THREADS;
var<private> next_left: array<Octet, LEFT_SHARE>;
var<private> next_right: array<Octet, RIGHT_SHARE>;
var<private> next_weights: array<vec4<u32>, RIGHT_SHARE>; // still bf16

fn octets_in(columns: u32) -> u32 { return (columns + 7u) / 8u; }

// First row and first column of the workgroup's tile.
fn tile_origin(wid: vec3<u32>) -> vec2<u32> { return vec2(wid.y * TILE_ROWS, wid.x * TILE_COLUMNS); }

// Where slot i of a slab lies in it: row of the tile and octet of the slab, or term of the slab and octet of the tile.
fn along(i: u32) -> vec2<u32> { return vec2(i / SLAB_OCTETS, i % SLAB_OCTETS); }
fn across(i: u32, columns: u32) -> vec2<u32> { return vec2(i / (columns / 8u), i % (columns / 8u)); }

// ---- staging: from storage to registers, from registers to workgroup memory ----------------------------------------------

// Rows of the left operand along the sum, from its octet `start`; each has `row_octets`.
fn fetch_rows(first_row: u32, start: u32, row_octets: u32, lane: u32) {
  for (var i = 0u; i < LEFT_SHARE; i++) {
    let place = along(i * THREADS + lane);
    let row = first_row + place.x;
    let at = start + place.y;
    next_left[i] = Octet();
    if (place.x < TILE_ROWS && row < params.rows && at < row_octets) { next_left[i] = row_octet(row, at, row_octets); }
  }
}

fn weight_at(row: u32, at: u32, row_octets: u32) -> vec4<u32> {
  return octets[(params.row0 + row) * row_octets + at];
}

// Rows of W along the sum: the columns of y. Each octet stands once for every part of the left operand's.
fn fetch_weight_rows(first_column: u32, start: u32, row_octets: u32, lane: u32) {
  for (var i = 0u; i < RIGHT_SHARE; i++) {
    let place = along(i * THREADS + lane);
    let row = first_column + place.x;
    let at = (start + place.y) / FORWARD_PARTS;
    next_weights[i] = vec4(0u);
    if (place.x < TILE_COLUMNS && row < params.outputs && at < row_octets) {
      next_weights[i] = weight_at(row, at, row_octets);
    }
  }
}

// The same for two weights: the first half of the tile's columns is the gate's, the second half the same columns of up.
const HALF = TILE_COLUMNS / 2u;

fn fetch_gate_and_up_rows(first_column: u32, start: u32, row_octets: u32, lane: u32) {
  for (var i = 0u; i < RIGHT_SHARE; i++) {
    let place = along(i * THREADS + lane);
    let row = first_column + place.x % HALF;
    let at = (start + place.y) / FORWARD_PARTS;
    next_weights[i] = vec4(0u);
    if (row < params.outputs && at < row_octets) {
      if (place.x < HALF) {
        next_weights[i] = weight_at(row, at, row_octets);
      } else if (place.x < TILE_COLUMNS) {
        next_weights[i] = up_octets[row * row_octets + at];
      }
    }
  }
}

// Rows of W across the sum, from row `start`: the columns of dx.
fn fetch_weight_terms(first_column: u32, start: u32, row_octets: u32, lane: u32) {
  for (var i = 0u; i < RIGHT_SHARE; i++) {
    let place = across(i * THREADS + lane, TILE_COLUMNS);
    let row = start + place.x;
    let at = first_column / 8u + place.y;
    next_weights[i] = vec4(0u);
    if (place.x < SLAB && row < params.outputs && at < row_octets) { next_weights[i] = weight_at(row, at, row_octets); }
  }
}

// Rows of dy across the sum: the rows of dweight.
fn fetch_dy_terms(first_row: u32, start: u32, row_octets: u32, lane: u32) {
  for (var i = 0u; i < LEFT_SHARE; i++) {
    let place = across(i * THREADS + lane, TILE_ROWS);
    let t = start + place.x;
    let at = first_row / 8u + place.y;
    next_left[i] = Octet();
    if (place.x < SLAB && t < params.rows && at < row_octets) { next_left[i] = row_octet(t, at, row_octets); }
  }
}

// Rows of x across the sum: the columns of dweight.
fn fetch_x_terms(first_column: u32, start: u32, row_octets: u32, lane: u32) {
  for (var i = 0u; i < RIGHT_SHARE; i++) {
    let place = across(i * THREADS + lane, TILE_COLUMNS);
    let t = start + place.x;
    let at = first_column / 8u + place.y;
    next_right[i] = Octet();
    if (place.x < SLAB && t < params.rows && at < row_octets) { next_right[i] = packed_x[t * row_octets + at]; }
  }
}

fn stage(place: u32, octet: Octet) {
  for (var w = 0u; w < WORDS; w++) { staged[place + w] = octet[w]; }
}

fn stage_left(is_along: bool, lane: u32) {
  for (var i = 0u; i < LEFT_SHARE; i++) {
    let slot = i * THREADS + lane;
    if (slot >= LEFT_OCTETS) { break; }
    let place = select(across(slot, TILE_ROWS), along(slot), is_along);
    stage(place.x * select(ROWS_ACROSS, ALONG, is_along) + place.y * WORDS, next_left[i]);
  }
}

// Where slot i of the right operand is staged.
fn right_place(slot: u32, is_along: bool) -> u32 {
  let place = select(across(slot, TILE_COLUMNS), along(slot), is_along);
  return LEFT_SIZE + place.x * select(COLUMNS_ACROSS, ALONG, is_along) + place.y * WORDS;
}

fn stage_x_terms(lane: u32) {
  for (var i = 0u; i < RIGHT_SHARE; i++) {
    let slot = i * THREADS + lane;
    if (slot >= RIGHT_OCTETS) { break; }
    stage(right_place(slot, false), next_right[i]);
  }
}

fn stage_weights(is_along: bool, lane: u32) {
  for (var i = 0u; i < RIGHT_SHARE; i++) {
    let slot = i * THREADS + lane;
    if (slot >= RIGHT_OCTETS) { break; }
    stage(right_place(slot, is_along), widened(next_weights[i]));
  }
}

// ---- multiplying: from workgroup memory to sums --------------------------------------------------------------------------

// First row and first column of a subgroup's part of the tile.
fn part_origin(subgroup: u32) -> vec2<u32> {
  return vec2(subgroup / GRID_COLUMNS * (FRAGMENT_ROWS * M), subgroup % GRID_COLUMNS * (FRAGMENT_COLUMNS * N));
}

// Matrices of term k of the slab on, at this row or column of the tile.

fn left_along(row: u32, k: u32) -> Left {
  return subgroupMatrixLoad<Left, row_major>(&staged, row * ALONG + k / 8u * WORDS, ALONG);
}

fn left_across(row: u32, k: u32) -> Left {
  return subgroupMatrixLoad<Left, col_major>(&staged, k * ROWS_ACROSS + row / 8u * WORDS, ROWS_ACROSS);
}

fn right_along(column: u32, k: u32) -> Right {
  return subgroupMatrixLoad<Right, col_major>(&staged, LEFT_SIZE + column * ALONG + k / 8u * WORDS, ALONG);
}

fn right_across(column: u32, k: u32) -> Right {
  return subgroupMatrixLoad<Right, row_major>(&staged, LEFT_SIZE + k * COLUMNS_ACROSS + column / 8u * WORDS, COLUMNS_ACROSS);
}

// One step of the sum for a column of the part: the matrices of its rows stay in registers from column to column.
fn add_products(sums: ptr<function, Sums>, j: u32, left: ptr<function, array<Left, FRAGMENT_ROWS>>, right: Right) {
  for (var i = 0u; i < FRAGMENT_ROWS; i++) {
    (*sums)[i][j] = subgroupMatrixMultiplyAccumulate((*left)[i], right, (*sums)[i][j]);
  }
}

fn add_slab_along(sums: ptr<function, Sums>, subgroup: u32) {
  let part = part_origin(subgroup);
  for (var k = 0u; k < SLAB; k += K) {
    var left: array<Left, FRAGMENT_ROWS>;
    for (var i = 0u; i < FRAGMENT_ROWS; i++) { left[i] = left_along(part.x + i * M, k); }
    for (var j = 0u; j < FRAGMENT_COLUMNS; j++) { add_products(sums, j, &left, right_along(part.y + j * N, k)); }
  }
}

fn add_slab_along_across(sums: ptr<function, Sums>, subgroup: u32) {
  let part = part_origin(subgroup);
  for (var k = 0u; k < SLAB; k += K) {
    var left: array<Left, FRAGMENT_ROWS>;
    for (var i = 0u; i < FRAGMENT_ROWS; i++) { left[i] = left_along(part.x + i * M, k); }
    for (var j = 0u; j < FRAGMENT_COLUMNS; j++) { add_products(sums, j, &left, right_across(part.y + j * N, k)); }
  }
}

fn add_slab_across(sums: ptr<function, Sums>, subgroup: u32) {
  let part = part_origin(subgroup);
  for (var k = 0u; k < SLAB; k += K) {
    var left: array<Left, FRAGMENT_ROWS>;
    for (var i = 0u; i < FRAGMENT_ROWS; i++) { left[i] = left_across(part.x + i * M, k); }
    for (var j = 0u; j < FRAGMENT_COLUMNS; j++) { add_products(sums, j, &left, right_across(part.y + j * N, k)); }
  }
}

// ---- results: from sums, through workgroup memory, to storage ------------------------------------------------------------

// Puts row `i` of each subgroup's matrices into workgroup memory. Sums are only indexed by what a compiler can unroll.
fn stage_results(sums: ptr<function, Sums>, i: u32, subgroup: u32) {
  workgroupBarrier(); // the last ones are read
  if (subgroup < SUBGROUPS) {
    let row = subgroup / GRID_COLUMNS * M;
    let column = part_origin(subgroup).y;
    for (var own = 0u; own < FRAGMENT_ROWS; own++) {
      if (own == i) {
        for (var j = 0u; j < FRAGMENT_COLUMNS; j++) {
          let at = row * RESULT_STRIDE + (column + j * N) / 4u;
          subgroupMatrixStore<row_major>(&staged, at, (*sums)[own][j], RESULT_STRIDE);
        }
      }
    }
  }
  workgroupBarrier();
}

// Four neighbouring columns of a row of the result.
struct Quad {
  row: u32,
  column: u32,
  value: vec4<f32>,
}

const RESULT_QUADS = GRID_ROWS * M * TILE_COLUMNS / 4u;

fn staged_result(origin: vec2<u32>, i: u32, slot: u32) -> Quad {
  let row = slot / (TILE_COLUMNS / 4u);
  let quad = slot % (TILE_COLUMNS / 4u);
  let tile_row = row / M * (FRAGMENT_ROWS * M) + i * M + row % M;
  return Quad(origin.x + tile_row, origin.y + 4u * quad, bitcast<vec4<f32>>(staged[row * RESULT_STRIDE + quad]));
}

// ---- forward -------------------------------------------------------------------------------------------------------------

fn forward_product(origin: vec2<u32>, lane: u32, subgroup: u32) -> Sums {
  var sums: Sums;
  let row_octets = octets_in(params.inputs);
  let parts = FORWARD_PARTS * row_octets;
  begin_rows(origin.x, lane);
  fetch_weight_rows(origin.y, 0u, row_octets, lane);
  fetch_rows(origin.x, 0u, parts, lane);
  for (var start = 0u; start < parts; start += SLAB_OCTETS) {
    stage_left(true, lane);
    stage_weights(true, lane);
    workgroupBarrier();
    fetch_weight_rows(origin.y, start + SLAB_OCTETS, row_octets, lane);
    fetch_rows(origin.x, start + SLAB_OCTETS, parts, lane);
    if (subgroup < SUBGROUPS) { add_slab_along(&sums, subgroup); }
    workgroupBarrier();
  }
  return sums;
}

// A row's results times this are y: the row's scale and the weights' undone.
fn forward_scale(row: u32) -> f32 {
  return power_of_two(exponent_of_row(min(row, params.rows - 1u)) - WEIGHT_EXPONENT);
}

@compute @workgroup_size(THREADS)
fn linear_forward(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let origin = tile_origin(wid);
  var sums = forward_product(origin, lane, subgroup);
  for (var i = 0u; i < FRAGMENT_ROWS; i++) {
    stage_results(&sums, i, subgroup);
    for (var slot = lane; slot < RESULT_QUADS; slot += THREADS) {
      let quad = staged_result(origin, i, slot);
      let value = quad.value * forward_scale(quad.row);
      store_y(quad.row, quad.column / 2u, value.xy);
      store_y(quad.row, quad.column / 2u + 1u, value.zw);
    }
  }
}

@compute @workgroup_size(THREADS)
fn linear_swiglu(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let origin = vec2(wid.y * TILE_ROWS, wid.x * HALF);
  let row_octets = octets_in(params.inputs);
  let parts = FORWARD_PARTS * row_octets;
  var sums: Sums;
  begin_rows(origin.x, lane);
  fetch_gate_and_up_rows(origin.y, 0u, row_octets, lane);
  fetch_rows(origin.x, 0u, parts, lane);
  for (var start = 0u; start < parts; start += SLAB_OCTETS) {
    stage_left(true, lane);
    stage_weights(true, lane);
    workgroupBarrier();
    fetch_gate_and_up_rows(origin.y, start + SLAB_OCTETS, row_octets, lane);
    fetch_rows(origin.x, start + SLAB_OCTETS, parts, lane);
    if (subgroup < SUBGROUPS) { add_slab_along(&sums, subgroup); }
    workgroupBarrier();
  }
  for (var i = 0u; i < FRAGMENT_ROWS; i++) {
    stage_results(&sums, i, subgroup);
    for (var slot = lane; slot < GRID_ROWS * M * HALF / 4u; slot += THREADS) {
      let at = slot / (HALF / 4u) * (TILE_COLUMNS / 4u) + slot % (HALF / 4u);
      let quad = staged_result(origin, i, at);
      let scale = forward_scale(quad.row);
      let gates = quad.value * scale;
      let ups = staged_result(origin, i, at + HALF / 4u).value * scale;
      store_swiglu(quad.row, quad.column / 2u, gates.xy, ups.xy);
      store_swiglu(quad.row, quad.column / 2u + 1u, gates.zw, ups.zw);
    }
  }
}

@compute @workgroup_size(THREADS)
fn linear_logits(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let origin = tile_origin(wid);
  var sums = forward_product(origin, lane, subgroup);
  for (var i = 0u; i < FRAGMENT_ROWS; i++) {
    stage_results(&sums, i, subgroup);
    for (var slot = lane; slot < RESULT_QUADS; slot += THREADS) {
      let quad = staged_result(origin, i, slot);
      let value = quad.value * forward_scale(quad.row);
      store_logits(quad.row, quad.column / 2u, value.xy);
      store_logits(quad.row, quad.column / 2u + 1u, value.zw);
    }
  }
}

// ---- backward ------------------------------------------------------------------------------------------------------------

@compute @workgroup_size(THREADS)
fn linear_backward_input(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let origin = tile_origin(wid);
  let dy_octets = octets_in(params.outputs);
  let weight_octets = octets_in(params.inputs);
  var sums: Sums;
  fetch_rows(origin.x, 0u, dy_octets, lane);
  fetch_weight_terms(origin.y, 0u, weight_octets, lane);
  for (var start = 0u; start < params.outputs; start += SLAB) {
    stage_left(true, lane);
    stage_weights(false, lane);
    workgroupBarrier();
    fetch_rows(origin.x, start / 8u + SLAB_OCTETS, dy_octets, lane);
    fetch_weight_terms(origin.y, start + SLAB, weight_octets, lane);
    if (subgroup < SUBGROUPS) { add_slab_along_across(&sums, subgroup); }
    workgroupBarrier();
  }
  for (var i = 0u; i < FRAGMENT_ROWS; i++) {
    stage_results(&sums, i, subgroup);
    for (var slot = lane; slot < RESULT_QUADS; slot += THREADS) {
      let quad = staged_result(origin, i, slot);
      let value = quad.value * forward_scale(quad.row);
      store_dx(quad.row, quad.column / 2u, value.xy);
      store_dx(quad.row, quad.column / 2u + 1u, value.zw);
    }
  }
}

@compute @workgroup_size(THREADS)
fn linear_backward_weight(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let origin = tile_origin(wid);
  let dy_octets = octets_in(params.outputs);
  let x_octets = octets_in(params.inputs);
  var sums: Sums;
  fetch_dy_terms(origin.x, 0u, dy_octets, lane);
  fetch_x_terms(origin.y, 0u, x_octets, lane);
  for (var start = 0u; start < params.rows; start += SLAB) {
    stage_left(false, lane);
    stage_x_terms(lane);
    workgroupBarrier();
    fetch_dy_terms(origin.x, start + SLAB, dy_octets, lane);
    fetch_x_terms(origin.y, start + SLAB, x_octets, lane);
    if (subgroup < SUBGROUPS) { add_slab_across(&sums, subgroup); }
    workgroupBarrier();
  }
  let scale = power_of_two(exponent_sum[0]);
  for (var i = 0u; i < FRAGMENT_ROWS; i++) {
    stage_results(&sums, i, subgroup);
    for (var slot = lane; slot < RESULT_QUADS; slot += THREADS) {
      let quad = staged_result(origin, i, slot);
      let value = quad.value * scale;
      add_to_dweight(quad.row, quad.column / 2u, value.xy);
      add_to_dweight(quad.row, quad.column / 2u + 1u, value.zw);
    }
  }
}
