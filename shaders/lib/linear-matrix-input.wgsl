// dx = dy W: rows of dy along the sum, rows of W across it.
const LEFT_ALONG = true;
const RIGHT_ALONG = false;
alias Fetched = vec4<u32>; // still bf16

fn staged_octet(fetched: Fetched, place: u32) -> Octet { return widened(fetched); }

fn left_shape() -> vec2<u32> { return vec2(params.rows, octets_in(params.outputs)); }
fn right_shape() -> vec2<u32> { return vec2(params.outputs, octets_in(params.inputs)); }

fn right_row(first_column: u32, column: u32) -> u32 { return first_column + column; }
fn right_place(row: u32) -> u32 { return (params.row0 + row) * octets_in(params.inputs); }
fn right_octet(place: u32, at: u32, column: u32) -> Fetched { return octets[place + at]; }

const RESULT_SLOTS = RESULT_QUADS;

fn tile_origin(wid: vec3<u32>) -> vec2<u32> { return vec2(wid.y * TILE_ROWS, wid.x * TILE_COLUMNS); }

fn store_result(origin: vec2<u32>, i: u32, slot: u32) {
  let quad = staged_result(origin, i, slot);
  let value = quad.value * row_scale(quad.row);
  store_dx(quad.row, quad.column / 2u, value.xy);
  store_dx(quad.row, quad.column / 2u + 1u, value.zw);
}

@compute @workgroup_size(THREADS)
fn linear_backward_input(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  multiply(wid, lane, subgroup);
}
