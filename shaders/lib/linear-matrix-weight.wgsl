// dW = dy^T x: rows of both across the sum, each multiplied by what its exponents lack as it is staged.
const LEFT_ALONG = false;
const RIGHT_ALONG = false;
alias Fetched = Octet;

// linear_term_scales's of the slab's terms.
const SCALES_TERMS = true;
var<workgroup> slab_scales: array<vec2<u32>, SLAB>;

fn fetch_scale(term: u32) -> vec2<u32> { return term_scales[min(term, params.rows - 1u)]; }
fn stage_scale(place: u32, scale: vec2<u32>) { slab_scales[place] = scale; }
fn staged_left(octet: Octet, place: u32) -> Octet { return halved_octet(octet, slab_scales[place].x); }
fn staged_octet(fetched: Fetched, place: u32) -> Octet { return halved_octet(fetched, slab_scales[place].y); }

fn left_shape() -> vec2<u32> { return vec2(params.rows, octets_in(params.outputs)); }
fn right_shape() -> vec2<u32> { return vec2(params.rows, octets_in(params.inputs)); }
fn right_row(first_column: u32, column: u32) -> u32 { return first_column + column; }
fn right_place(row: u32) -> u32 { return row * octets_in(params.inputs); }
fn right_octet(place: u32, at: u32, column: u32) -> Fetched { return packed_x[place + at]; }

const RESULT_SLOTS = RESULT_QUADS;

fn tile_origin(wid: vec3<u32>) -> vec2<u32> { return vec2(wid.y * TILE_ROWS, wid.x * TILE_COLUMNS); }

fn store_result(origin: vec2<u32>, i: u32, slot: u32) {
  let quad = staged_result(origin, i, slot);
  let factors = factors_of_power(exponent_sum[0]);
  let value = quad.value * factors.x * factors.y;
  add_to_dweight(quad.row, quad.column / 2u, value.xy);
  add_to_dweight(quad.row, quad.column / 2u + 1u, value.zw);
}

@compute @workgroup_size(THREADS)
fn linear_backward_weight(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  multiply(wid, lane, subgroup);
}
