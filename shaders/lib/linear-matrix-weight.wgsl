// dW = dy^T x: rows of both across the sum.
const LEFT_ALONG = false;
const RIGHT_ALONG = false;
alias Fetched = Octet;

fn staged_octet(fetched: Fetched) -> Octet { return fetched; }
fn left_shape() -> vec2<u32> { return vec2(params.rows, octets_in(params.outputs)); }
fn right_shape() -> vec2<u32> { return vec2(params.rows, octets_in(params.inputs)); }
fn right_row(first_column: u32, column: u32) -> u32 { return first_column + column; }
fn right_place(row: u32) -> u32 { return row * octets_in(params.inputs); }
fn right_octet(place: u32, at: u32, column: u32) -> Fetched { return packed_x[place + at]; }

const RESULT_SLOTS = RESULT_QUADS;

fn tile_origin(wid: vec3<u32>) -> vec2<u32> { return vec2(wid.y * TILE_ROWS, wid.x * TILE_COLUMNS); }

fn store_result(origin: vec2<u32>, i: u32, slot: u32) {
  let quad = staged_result(origin, i, slot);
  let value = quad.value * power_of_two(exponent_sum[0]);
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
