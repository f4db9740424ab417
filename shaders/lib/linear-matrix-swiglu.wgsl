// x Wgate^T and x Wup^T: the first half of a tile's columns is the gate's, the second half the same columns of up.
const LEFT_ALONG = true;
const RIGHT_ALONG = true;
alias Fetched = vec4<u32>; // still bf16

fn staged_octet(fetched: Fetched, place: u32) -> Octet { return widened(fetched); }

const HALF = TILE_COLUMNS / 2u;

fn left_shape() -> vec2<u32> { return vec2(params.rows, octets_in(params.inputs)); }
fn right_shape() -> vec2<u32> { return vec2(params.outputs, octets_in(params.inputs)); }
fn right_row(first_column: u32, column: u32) -> u32 { return first_column + column % HALF; }
fn right_place(row: u32) -> u32 { return row * octets_in(params.inputs); }

fn right_octet(place: u32, at: u32, column: u32) -> Fetched {
  if (column < HALF) { return octets[place + at]; }
  return up_octets[place + at];
}

const RESULT_SLOTS = GRID_ROWS * M * HALF / 4u;

fn tile_origin(wid: vec3<u32>) -> vec2<u32> { return vec2(wid.y * TILE_ROWS, wid.x * HALF); }

fn store_result(origin: vec2<u32>, i: u32, slot: u32) {
  let at = slot / (HALF / 4u) * (TILE_COLUMNS / 4u) + slot % (HALF / 4u);
  let quad = staged_result(origin, i, at);
  let scale = row_scale(quad.row);
  let gates = quad.value * scale;
  let ups = staged_result(origin, i, at + HALF / 4u).value * scale;
  store_swiglu(quad.row, quad.column / 2u, gates.xy, ups.xy);
  store_swiglu(quad.row, quad.column / 2u + 1u, gates.zw, ups.zw);
}

@compute @workgroup_size(THREADS)
fn linear_swiglu(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  multiply(wid, lane, subgroup);
}
