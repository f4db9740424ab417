enable subgroups;

// The linear layer where invocations of a subgroup can read each other's registers: the entry points and the order of every
// sum are those of linear.wgsl, and so are the bits.
//
// Parallelisation: an invocation computes a tile of 16 or 8 rows x 4 columns (lib/linear-tile.wgsl), a workgroup of LANES invocations
// as many rows x 4 LANES columns.

override LANES = 32u; // the host sets the adapter's smallest size of a subgroup

// First row and first pair of columns of this invocation's tile.
fn tile_origin(wid: vec3<u32>, lane: u32) -> vec2<u32> {
  return vec2(wid.y * TILE_ROWS, wid.x * LANES * PAIRS + lane);
}

// Where the rows begin that the invocation loads for its subgroup, `apart` from each other; a tile that reaches over an edge
// repeats the last.
fn held_rows(first: u32, lane: u32, end: u32, apart: u32) -> Places {
  var places: Places;
  for (var i = 0u; i < LOADS; i++) { places[i] = min(first + lane % HELD + i * HELD, end - 1u) * apart; }
  return places;
}

// ---- forward -------------------------------------------------------------------------------------------------------

// Where W's rows for a pair of columns begin.
fn weight_rows(column_pair: u32) -> vec2<u32> {
  let columns = min(2u * column_pair + vec2(0u, 1u), vec2(params.outputs - 1u));
  return (params.row0 + columns) * (params.inputs / 2u);
}

fn x_pair(at: u32) -> vec2<f32> { return x[at]; }
fn weight_pair(at: u32) -> vec2<f32> { return unpack(weight[at]); }

fn product(origin: vec2<u32>, lane: u32) -> Tile {
  let pairs = params.inputs / 2u;
  var weight_at: array<vec2<u32>, PAIRS>;
  for (var j = 0u; j < PAIRS; j++) { weight_at[j] = weight_rows(origin.y + j * LANES); }
  return tile_product(held_rows(origin.x, lane, params.rows, pairs), weight_at, pairs);
}

@compute @workgroup_size(LANES)
fn linear_forward(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let origin = tile_origin(wid, lid.x);
  var tile = product(origin, lane);
  for (var row = origin.x; row < min(origin.x + TILE_ROWS, params.rows); row += STORED) {
    for (var r = 0u; r < STORED; r++) {
      for (var j = 0u; j < PAIRS; j++) { store_y(row + r, origin.y + j * LANES, tile[r][j]); }
    }
    next_rows(&tile);
  }
}

@compute @workgroup_size(LANES)
fn linear_logits(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let origin = tile_origin(wid, lid.x);
  var tile = product(origin, lane);
  for (var row = origin.x; row < min(origin.x + TILE_ROWS, params.rows); row += STORED) {
    for (var r = 0u; r < STORED; r++) {
      for (var j = 0u; j < PAIRS; j++) { store_logits(row + r, origin.y + j * LANES, tile[r][j]); }
    }
    next_rows(&tile);
  }
}

// The same for two weights at once: the first pair of an invocation's columns is the gate's, the second the same pair of up.
@compute @workgroup_size(LANES)
fn linear_swiglu(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let first = wid.y * TILE_ROWS;
  let column_pair = wid.x * LANES + lid.x;
  let pairs = params.inputs / 2u;
  let x_at = held_rows(first, lane, params.rows, pairs);
  let weight_at = weight_rows(column_pair);

  var total: Tile;
  for (var start = 0u; start < pairs; start += RUN) {
    var tile = Tile();
    for (var p = start; p < min(start + RUN, pairs); p++) {
      let g = transpose(mat2x2(unpack(weight[weight_at.x + p]), unpack(weight[weight_at.y + p])));
      let u = transpose(mat2x2(unpack(up_weight[weight_at.x + p]), unpack(up_weight[weight_at.y + p])));
      var held: Held;
      for (var i = 0u; i < LOADS; i++) { held[i] = x[x_at[i] + p]; }
      add_pairs(&tile, held, Columns(g[0], u[0]), Columns(g[1], u[1]));
    }
    add_tile(&total, tile);
  }
  for (var row = first; row < min(first + TILE_ROWS, params.rows); row += STORED) {
    for (var r = 0u; r < STORED; r++) { store_swiglu(row + r, column_pair, total[r][0], total[r][1]); }
    next_rows(&total);
  }
}

// ---- backward ------------------------------------------------------------------------------------------------------

// Adds one term of the sum: a number of each of the rows, held by the subgroup, times the invocation's columns. The rows' numbers
// lie in dy, from `base` on.
fn add_term(tile: ptr<function, Tile>, base: u32, places: Places, columns: Columns) {
  var held: array<f32, LOADS>;
  for (var i = 0u; i < LOADS; i++) { held[i] = dy[base + places[i]]; }
  for (var r = 0u; r < HELD; r++) {
    for (var i = 0u; i < LOADS; i++) {
      let a = vec2(subgroupShuffle(held[i], r));
      for (var j = 0u; j < PAIRS; j++) { (*tile)[HELD * i + r][j] = fma(a, columns[j], (*tile)[HELD * i + r][j]); }
    }
  }
}

// The pairs of a row that are the invocation's columns; a tile that reaches over the edge repeats the last.
fn column_pairs(first: u32) -> vec2<u32> {
  return min(first + vec2(0u, LANES), vec2(params.inputs / 2u - 1u));
}

// Tile of dx: rows of dy x columns of W, summed over the rows of W.
@compute @workgroup_size(LANES)
fn linear_backward_input(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let origin = tile_origin(wid, lid.x);
  let dy_at = held_rows(origin.x, lane, params.rows, params.outputs);
  let pairs = params.inputs / 2u;
  let columns = column_pairs(origin.y);
  var tile: Tile;
  for (var n = 0u; n < params.outputs; n++) {
    let at = (params.row0 + n) * pairs + columns;
    add_term(&tile, n, dy_at, Columns(unpack(weight[at.x]), unpack(weight[at.y])));
  }
  for (var row = origin.x; row < min(origin.x + TILE_ROWS, params.rows); row += STORED) {
    for (var r = 0u; r < STORED; r++) {
      for (var j = 0u; j < PAIRS; j++) { store_dx(row + r, origin.y + j * LANES, tile[r][j]); }
    }
    next_rows(&tile);
  }
}

// Tile of dweight: columns of dy x columns of x, summed over their rows.
@compute @workgroup_size(LANES)
fn linear_backward_weight(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let origin = tile_origin(wid, lid.x);
  let dy_at = held_rows(origin.x, lane, params.outputs, 1u);
  let pairs = params.inputs / 2u;
  let columns = column_pairs(origin.y);
  var tile: Tile;
  for (var t = 0u; t < params.rows; t++) {
    let at = t * pairs + columns;
    add_term(&tile, t * params.outputs, dy_at, Columns(x[at.x], x[at.y]));
  }
  for (var row = origin.x; row < min(origin.x + TILE_ROWS, params.outputs); row += STORED) {
    for (var r = 0u; r < STORED; r++) {
      for (var j = 0u; j < PAIRS; j++) { add_to_dweight(row + r, origin.y + j * LANES, tile[r][j]); }
    }
    next_rows(&tile);
  }
}
