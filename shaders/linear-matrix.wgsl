enable subgroups;
enable chromium_experimental_subgroup_matrix;

// The linear layer on subgroup matrices, for weights stored in bf16: the entry points of linear.wgsl, with operands rounded to
// the matrices' components (f16, or f32 and then not rounded) and sums in f32. One product serves all five: lib/linear-matrix-*.wgsl
// say of each where its operands lie and where its results go.
//
//   linear_forward           y           overwritten, with residual added if params.has_residual
//   linear_swiglu            gate, up, y overwritten: x Wgate^T, x Wup^T and silu(gate) up
//   linear_logits            logits      overwritten: x W[row0 : row0 + outputs]^T, a chunk of the vocabulary
//   linear_backward_input    dx          dy W; added to if params.accumulate, otherwise overwritten
//   linear_backward_weight   dweight     added to: dy^T x
//
// Numbers. f16 has 11 bits and ends at 65504. Every row of x and of dy is scaled by a power of two that brings its largest
// number below that (lib/matrix-scale.wgsl), so that no outlier overflows and small gradients keep their bits; results are
// scaled back, which is exact. Where the sum runs over the rows, in linear_backward_weight, rows are multiplied by what their two
// exponents lack of the largest sum of two (linear-pack.wgsl). A weight has 8 bits and is exact in f16 unless it is tiny (lib/matrix-f16.wgsl).
//
// Operands are rows of octets: eight numbers, one 16-byte load. One whose rows the sum runs along is staged "along", a row of the
// tile after the other; one whose rows are the sum's terms "across", a term after the other. Rows and columns beyond the edge
// are the last ones once more, whose results are not stored; terms beyond it are zeros.
//
// Parallelisation: a workgroup computes a tile of GRID_ROWS x GRID_COLUMNS subgroups, each of which keeps FRAGMENT_ROWS x
// FRAGMENT_COLUMNS result matrices of M x N in registers. A slab of SLAB terms of the sum is staged in workgroup memory. Each
// invocation loads its octets of the next slab into registers before the matrices are multiplied and looks at them after, so
// that the loads have that long to arrive; where its rows begin it works out once. Subgroups beyond the grid only stage, which
// makes any size of a subgroup up to the adapter's largest right.
//
// Every result is summed in steps of K terms in the order of the summed index, whatever its tile: a row has the same bits
// alone and among a thousand, and the tiles' sizes do not matter.
//
// The constants in capitals, the text of one product, and lib/linear-packed.wgsl or lib/linear-direct.wgsl for the left operand's
// rows, come from the host. The text of a product has
//
//   LEFT_ALONG, RIGHT_ALONG         how the operands lie
//   left_shape, right_shape         rows, and octets to a row
//   Fetched, staged_octet           what is loaded of the right one, and what becomes of it in workgroup memory
//   SCALES_TERMS, fetch_scale, stage_scale, staged_left    whether the terms have scales, how those of the next slab are loaded and
//                                   put into workgroup memory, and what becomes of the left operand there
//   right_row, right_place, right_octet    the row of a column of the tile, where a row begins, an octet of it
//   tile_origin                     first row and first column of the workgroup's tile
//   RESULT_SLOTS, store_result      how many shares the staged results have, and what becomes of one

alias Left = subgroup_matrix_left<component, K, M>;
alias Right = subgroup_matrix_right<component, N, K>;
alias Result = subgroup_matrix_result<f32, N, M>;
alias Sums = array<array<Result, FRAGMENT_COLUMNS>, FRAGMENT_ROWS>;

// bf16, in rows of whole octets.
@group(0) @binding(16) var<storage, read> octets: array<vec4<u32>>;
@group(0) @binding(17) var<storage, read> up_octets: array<vec4<u32>>;
// For linear_backward_weight: x, packed as the left operand dy is, what the exponents of a row's two add up to at most, and what
// each row of the two is to be multiplied by.
@group(0) @binding(18) var<storage, read> packed_x: array<array<vec4<u32>, WORDS>>;
@group(0) @binding(19) var<storage, read> exponent_sum: array<i32>;
@group(0) @binding(20) var<storage, read> term_scales: array<vec2<u32>>;

const SUBGROUPS = GRID_ROWS * GRID_COLUMNS;
const SLAB_OCTETS = SLAB / 8u;
// 16 bytes more than a row holds keep the rows of a matrix in different banks.
const LEFT_STRIDE = select(TILE_ROWS / 8u, SLAB_OCTETS, LEFT_ALONG) * WORDS + 1u;
const RIGHT_STRIDE = select(TILE_COLUMNS / 8u, SLAB_OCTETS, RIGHT_ALONG) * WORDS + 1u;
const LEFT_SIZE = select(SLAB, TILE_ROWS, LEFT_ALONG) * LEFT_STRIDE;
const RIGHT_SIZE = select(SLAB, TILE_COLUMNS, RIGHT_ALONG) * RIGHT_STRIDE;
// Results on their way out: M rows of each row of subgroups.
const RESULT_STRIDE = TILE_COLUMNS / 4u + 1u;
const RESULT_SIZE = GRID_ROWS * M * RESULT_STRIDE;

var<workgroup> staged: array<vec4<u32>, max(LEFT_SIZE + RIGHT_SIZE, RESULT_SIZE)>;

// An invocation's octets of a slab.
const LEFT_OCTETS = TILE_ROWS * SLAB_OCTETS;
const RIGHT_OCTETS = TILE_COLUMNS * SLAB_OCTETS;
const LEFT_SHARE = (LEFT_OCTETS + THREADS - 1u) / THREADS;
const RIGHT_SHARE = (RIGHT_OCTETS + THREADS - 1u) / THREADS;

fn octets_in(columns: u32) -> u32 { return (columns + 7u) / 8u; }

// Where slot i of a slab lies in it, x in the tile and y in the sum: along, row and octet; across, octet and term.
fn slot_place(slot: u32, length: u32, is_along: bool) -> vec2<u32> {
  return select(vec2(slot % (length / 8u), slot / (length / 8u)), vec2(slot / SLAB_OCTETS, slot % SLAB_OCTETS), is_along);
}

// ---- multiplying: from workgroup memory to sums --------------------------------------------------------------------------

// First row and first column of a subgroup's part of the tile.
fn part_origin(subgroup: u32) -> vec2<u32> {
  return vec2(subgroup / GRID_COLUMNS * (FRAGMENT_ROWS * M), subgroup % GRID_COLUMNS * (FRAGMENT_COLUMNS * N));
}

// Matrices of term k of the slab on, at this row or column of the tile.

fn left_matrix(row: u32, k: u32) -> Left {
  if (LEFT_ALONG) { return subgroupMatrixLoad<Left, row_major>(&staged, row * LEFT_STRIDE + k / 8u * WORDS, LEFT_STRIDE); }
  return subgroupMatrixLoad<Left, col_major>(&staged, k * LEFT_STRIDE + row / 8u * WORDS, LEFT_STRIDE);
}

fn right_matrix(column: u32, k: u32) -> Right {
  if (RIGHT_ALONG) {
    return subgroupMatrixLoad<Right, col_major>(&staged, LEFT_SIZE + column * RIGHT_STRIDE + k / 8u * WORDS, RIGHT_STRIDE);
  }
  return subgroupMatrixLoad<Right, row_major>(&staged, LEFT_SIZE + k * RIGHT_STRIDE + column / 8u * WORDS, RIGHT_STRIDE);
}

// The matrices of a step's rows stay in registers from column to column.
fn add_slab(sums: ptr<function, Sums>, subgroup: u32) {
  let part = part_origin(subgroup);
  for (var k = 0u; k < SLAB; k += K) {
    var left: array<Left, FRAGMENT_ROWS>;
    for (var i = 0u; i < FRAGMENT_ROWS; i++) { left[i] = left_matrix(part.x + i * M, k); }
    for (var j = 0u; j < FRAGMENT_COLUMNS; j++) {
      let right = right_matrix(part.y + j * N, k);
      for (var i = 0u; i < FRAGMENT_ROWS; i++) {
        (*sums)[i][j] = subgroupMatrixMultiplyAccumulate(left[i], right, (*sums)[i][j]);
      }
    }
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

// A row's results times this are the product's: the row's scale and the weights' undone.
fn row_scale(row: u32) -> f32 {
  return power_of_two(exponent_of_row(min(row, params.rows - 1u)) - WEIGHT_EXPONENT);
}

// ---- the product ---------------------------------------------------------------------------------------------------------

fn stage(place: u32, octet: Octet) {
  for (var w = 0u; w < WORDS; w++) { staged[place + w] = octet[w]; }
}

fn fetch_left(next: ptr<function, array<Octet, LEFT_SHARE>>, at: ptr<function, array<u32, LEFT_SHARE>>, slab: u32, lane: u32) {
  let shape = left_shape();
  let terms = select(shape.x, shape.y, LEFT_ALONG);
  for (var i = 0u; i < LEFT_SHARE; i++) {
    let term = slab * select(SLAB, SLAB_OCTETS, LEFT_ALONG) + slot_place(i * THREADS + lane, TILE_ROWS, LEFT_ALONG).y;
    let known = min(term, terms - 1u);
    var octet: Octet;
    if (LEFT_ALONG) { octet = left_octet((*at)[i], known); } else { octet = left_octet(left_place(known, shape.y), (*at)[i]); }
    for (var w = 0u; w < WORDS; w++) { (*next)[i][w] = select(vec4(0u), octet[w], term < terms); }
  }
}

// Terms beyond the edge are the last one once more: the left operand's are zeros.
fn fetch_right(next: ptr<function, array<Fetched, RIGHT_SHARE>>, at: ptr<function, array<u32, RIGHT_SHARE>>, slab: u32, lane: u32) {
  let shape = right_shape();
  let terms = select(shape.x, shape.y, RIGHT_ALONG);
  for (var i = 0u; i < RIGHT_SHARE; i++) {
    let place = slot_place(i * THREADS + lane, TILE_COLUMNS, RIGHT_ALONG);
    let term = min(slab * select(SLAB, SLAB_OCTETS, RIGHT_ALONG) + place.y, terms - 1u);
    if (RIGHT_ALONG) { (*next)[i] = right_octet((*at)[i], term, place.x); }
    else { (*next)[i] = right_octet(right_place(term), (*at)[i], 0u); }
  }
}

fn stage_left(next: ptr<function, array<Octet, LEFT_SHARE>>, lane: u32) {
  for (var i = 0u; i < LEFT_SHARE; i++) {
    let slot = i * THREADS + lane;
    if (LEFT_OCTETS % THREADS != 0u && slot >= LEFT_OCTETS) { break; }
    let place = slot_place(slot, TILE_ROWS, LEFT_ALONG);
    let at = select(place.yx, place, LEFT_ALONG);
    stage(at.x * LEFT_STRIDE + at.y * WORDS, staged_left((*next)[i], place.y));
  }
}

fn stage_right(next: ptr<function, array<Fetched, RIGHT_SHARE>>, lane: u32) {
  for (var i = 0u; i < RIGHT_SHARE; i++) {
    let slot = i * THREADS + lane;
    if (RIGHT_OCTETS % THREADS != 0u && slot >= RIGHT_OCTETS) { break; }
    let place = slot_place(slot, TILE_COLUMNS, RIGHT_ALONG);
    let at = select(place.yx, place, RIGHT_ALONG);
    stage(LEFT_SIZE + at.x * RIGHT_STRIDE + at.y * WORDS, staged_octet((*next)[i], place.y));
  }
}

const SCALE_SHARE = (SLAB + THREADS - 1u) / THREADS;

fn fetch_scales(slab: u32, lane: u32) -> array<vec2<u32>, SCALE_SHARE> {
  var scales: array<vec2<u32>, SCALE_SHARE>;
  for (var i = 0u; i < SCALE_SHARE; i++) { scales[i] = fetch_scale(slab * SLAB + i * THREADS + lane); }
  return scales;
}

fn stage_scales(scales: array<vec2<u32>, SCALE_SHARE>, lane: u32) {
  for (var i = 0u; i < SCALE_SHARE; i++) {
    if (i * THREADS + lane < SLAB) { stage_scale(i * THREADS + lane, scales[i]); }
  }
}

fn multiply(wid: vec3<u32>, lane: u32, subgroup: u32) {
  let origin = tile_origin(wid);
  begin_rows(origin.x, lane);
  let left = left_shape();
  let right = right_shape();
  // What stays the same from slab to slab: along, where a slot's row begins; across, which octet of the rows it takes.
  var left_at: array<u32, LEFT_SHARE>;
  for (var i = 0u; i < LEFT_SHARE; i++) {
    let place = slot_place(i * THREADS + lane, TILE_ROWS, LEFT_ALONG).x;
    if (LEFT_ALONG) { left_at[i] = left_place(min(origin.x + place, left.x - 1u), left.y); }
    else { left_at[i] = min(origin.x / 8u + place, left.y - 1u); }
  }
  var right_at: array<u32, RIGHT_SHARE>;
  for (var i = 0u; i < RIGHT_SHARE; i++) {
    let place = slot_place(i * THREADS + lane, TILE_COLUMNS, RIGHT_ALONG).x;
    if (RIGHT_ALONG) { right_at[i] = right_place(min(right_row(origin.y, place), right.x - 1u)); }
    else { right_at[i] = min(origin.y / 8u + place, right.y - 1u); }
  }
  let terms = select(left.x, left.y, LEFT_ALONG);
  let step = select(SLAB, SLAB_OCTETS, LEFT_ALONG);

  var sums: Sums;
  var next_left: array<Octet, LEFT_SHARE>;
  var next_right: array<Fetched, RIGHT_SHARE>;
  fetch_left(&next_left, &left_at, 0u, lane);
  fetch_right(&next_right, &right_at, 0u, lane);
  if (SCALES_TERMS) {
    stage_scales(fetch_scales(0u, lane), lane);
    workgroupBarrier();
  }
  for (var slab = 0u; slab * step < terms; slab++) {
    stage_left(&next_left, lane);
    stage_right(&next_right, lane);
    workgroupBarrier();
    fetch_left(&next_left, &left_at, slab + 1u, lane);
    fetch_right(&next_right, &right_at, slab + 1u, lane);
    let scales = fetch_scales(slab + 1u, lane);
    if (subgroup < SUBGROUPS) { add_slab(&sums, subgroup); }
    stage_scales(scales, lane);
    workgroupBarrier();
  }
  for (var i = 0u; i < FRAGMENT_ROWS; i++) {
    stage_results(&sums, i, subgroup);
    for (var slot = lane; slot < RESULT_SLOTS; slot += THREADS) { store_result(origin, i, slot); }
  }
}
