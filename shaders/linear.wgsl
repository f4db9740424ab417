// The linear layer: y = scale x W^T + bias, with x [rows, inputs], W [outputs, inputs], y [rows, outputs].
//
//   linear_forward           y           overwritten, with residual added if params.has_residual
//   linear_logits            logits      overwritten: x W[row0 : row0 + outputs]^T, a chunk of the vocabulary
//   linear_swiglu            gate, up, y overwritten: x W_gate^T, x W_up^T and silu(gate) up, without bias
//   linear_backward_input    dx          scale dy W; added to if params.accumulate, otherwise overwritten
//   linear_backward_weight   dweight     added to: dy^T x
//   linear_backward_bias     dbias       added to: sum of dy over its rows
//
// Parallelisation: an invocation computes a tile of 8 x 8 outputs in registers, a workgroup 8 (columns) x 4 (rows) tiles.
// Each step of the sum loads 8 + 8 numbers for 64 multiply-adds, straight from storage: without workgroup memory and
// barriers, which cost a software adapter more than they save.
//
// Every output is summed in the order of the summed index, whatever tile it falls in and whatever else is in the batch: a
// row has the same bits alone and among a thousand. The forward product adds neighbours first, then runs of 32 terms, then
// the runs, because the rounding error of one chain grows with its length, and a loss whose terms cancel shows it.
// Tiles that reach over an edge repeat its last row or column and do not store it.

const LANES_X = 8u;
const LANES_Y = 4u;
const OFFSETS = vec4(0u, 1u, 2u, 3u);
// A lane's four pairs of columns lie LANES_X apart, so that neighbouring lanes read and write neighbouring pairs.
const PAIR_OFFSETS = vec4(0u, 1u, 2u, 3u) * LANES_X;

// 8 rows x 8 columns. Column r of `a` is row r of the tile, its first four columns; `b` continues it, `c` and `d` are rows 4 to 7.
struct Tile {
  a: mat4x4<f32>,
  b: mat4x4<f32>,
  c: mat4x4<f32>,
  d: mat4x4<f32>,
}

fn add_outer(sum: mat4x4<f32>, row: vec4<f32>, column: vec4<f32>) -> mat4x4<f32> {
  return mat4x4(
    fma(vec4(row.x), column, sum[0]),
    fma(vec4(row.y), column, sum[1]),
    fma(vec4(row.z), column, sum[2]),
    fma(vec4(row.w), column, sum[3]),
  );
}

// One term of the sum: `rows` and `columns` each hold 8 numbers.
fn add_term(tile: Tile, rows: mat2x4<f32>, columns: mat2x4<f32>) -> Tile {
  return Tile(
    add_outer(tile.a, rows[0], columns[0]),
    add_outer(tile.b, rows[0], columns[1]),
    add_outer(tile.c, rows[1], columns[0]),
    add_outer(tile.d, rows[1], columns[1]),
  );
}

// Row r of the tile's upper half as pairs of columns.
fn row_pairs(tile: Tile, r: u32) -> array<vec2<f32>, 4> {
  return array(tile.a[r].xy, tile.a[r].zw, tile.b[r].xy, tile.b[r].zw);
}

// A tile is stored by halves, the lower moving up: eight rows of stores, each with its conditions, take a software adapter
// seconds to compile.
fn next_half(tile: ptr<function, Tile>) {
  (*tile).a = (*tile).c;
  (*tile).b = (*tile).d;
}

// First row and first pair of columns of this invocation's tile.
fn tile_origin(wid: vec3<u32>, lid: vec3<u32>) -> vec2<u32> {
  return vec2((wid.y * LANES_Y + lid.y) * 8u, wid.x * LANES_X * 4u + lid.x);
}

// Whether a tile holds nothing to store: most of a workgroup's in a small batch.
fn is_outside(origin: vec2<u32>, rows: u32, columns: u32) -> bool {
  return origin.x >= rows || 2u * origin.y >= columns;
}

// Pairs at four places, transposed: their even elements, then their odd ones.
fn x_pairs(at: vec4<u32>) -> mat2x4<f32> {
  return transpose(mat4x2(x[at.x], x[at.y], x[at.z], x[at.w]));
}

fn weight_pairs(at: vec4<u32>) -> mat2x4<f32> {
  return transpose(mat4x2(unpack(weight[at.x]), unpack(weight[at.y]), unpack(weight[at.z]), unpack(weight[at.w])));
}

const RUN = 16u; // pairs

// ---- forward -------------------------------------------------------------------------------------------------------

// Adds two terms of the sum, first to each other: the even elements of four rows and columns, then the odd ones.
fn add_outer_pair(sum: mat4x4<f32>, rows: mat2x4<f32>, columns: mat2x4<f32>) -> mat4x4<f32> {
  return mat4x4(
    sum[0] + fma(vec4(rows[1].x), columns[1], rows[0].x * columns[0]),
    sum[1] + fma(vec4(rows[1].y), columns[1], rows[0].y * columns[0]),
    sum[2] + fma(vec4(rows[1].z), columns[1], rows[0].z * columns[0]),
    sum[3] + fma(vec4(rows[1].w), columns[1], rows[0].w * columns[0]),
  );
}

fn add_pairs(tile: Tile, x0: mat2x4<f32>, x1: mat2x4<f32>, w0: mat2x4<f32>, w1: mat2x4<f32>) -> Tile {
  return Tile(
    add_outer_pair(tile.a, x0, w0),
    add_outer_pair(tile.b, x0, w1),
    add_outer_pair(tile.c, x1, w0),
    add_outer_pair(tile.d, x1, w1),
  );
}

fn add_tile(total: Tile, tile: Tile) -> Tile {
  return Tile(total.a + tile.a, total.b + tile.b, total.c + tile.c, total.d + tile.d);
}

// Where four rows of x begin, and W's rows for two pairs of columns.
fn x_rows(first: u32) -> vec4<u32> {
  return min(first + OFFSETS, vec4(params.rows - 1u)) * (params.inputs / 2u);
}

fn weight_rows(column_pairs: vec2<u32>) -> vec4<u32> {
  let columns = min(2u * column_pairs.xxyy + vec4(0u, 1u, 0u, 1u), vec4(params.outputs - 1u));
  return (params.row0 + columns) * (params.inputs / 2u);
}

fn product(origin: vec2<u32>) -> Tile {
  let pairs = params.inputs / 2u;
  let x_low = x_rows(origin.x);
  let x_high = x_rows(origin.x + 4u);
  let columns = origin.y + PAIR_OFFSETS;
  let weight_low = weight_rows(columns.xy);
  let weight_high = weight_rows(columns.zw);

  var total: Tile;
  for (var start = 0u; start < pairs; start += RUN) {
    var tile = Tile();
    for (var p = start; p < min(start + RUN, pairs); p++) {
      tile = add_pairs(tile, x_pairs(x_low + p), x_pairs(x_high + p), weight_pairs(weight_low + p), weight_pairs(weight_high + p));
    }
    total = add_tile(total, tile);
  }
  return total;
}

@compute @workgroup_size(LANES_X, LANES_Y)
fn linear_forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let origin = tile_origin(wid, lid);
  if (is_outside(origin, params.rows, params.outputs)) { return; }
  var tile = product(origin);
  for (var row = origin.x; row < min(origin.x + 8u, params.rows); row += 4u) {
    for (var r = 0u; r < 4u; r++) {
      let values = row_pairs(tile, r);
      for (var j = 0u; j < 4u; j++) { store_y(row + r, origin.y + j * LANES_X, values[j]); }
    }
    next_half(&tile);
  }
}

@compute @workgroup_size(LANES_X, LANES_Y)
fn linear_logits(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let origin = tile_origin(wid, lid);
  if (is_outside(origin, params.rows, params.outputs)) { return; }
  var tile = product(origin);
  for (var row = origin.x; row < min(origin.x + 8u, params.rows); row += 4u) {
    for (var r = 0u; r < 4u; r++) {
      let values = row_pairs(tile, r);
      for (var j = 0u; j < 4u; j++) { store_logits(row + r, origin.y + j * LANES_X, values[j]); }
    }
    next_half(&tile);
  }
}

fn up_weight_pairs(at: vec4<u32>) -> mat2x4<f32> {
  return transpose(mat4x2(unpack(up_weight[at.x]), unpack(up_weight[at.y]), unpack(up_weight[at.z]), unpack(up_weight[at.w])));
}

// The same for two weights at once: the tile's first four columns are the gate's, the other four the same columns of up.
@compute @workgroup_size(LANES_X, LANES_Y)
fn linear_swiglu(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let first = (wid.y * LANES_Y + lid.y) * 8u;
  let columns = wid.x * LANES_X * 2u + lid.x + PAIR_OFFSETS.xy;
  if (is_outside(vec2(first, columns.x), params.rows, params.outputs)) { return; }
  let pairs = params.inputs / 2u;
  let x_low = x_rows(first);
  let x_high = x_rows(first + 4u);
  let weight_at = weight_rows(columns);

  var total: Tile;
  for (var start = 0u; start < pairs; start += RUN) {
    var tile = Tile();
    for (var p = start; p < min(start + RUN, pairs); p++) {
      tile = add_pairs(tile, x_pairs(x_low + p), x_pairs(x_high + p), weight_pairs(weight_at + p), up_weight_pairs(weight_at + p));
    }
    total = add_tile(total, tile);
  }
  for (var row = first; row < min(first + 8u, params.rows); row += 4u) {
    for (var r = 0u; r < 4u; r++) {
      let values = row_pairs(total, r);
      store_swiglu(row + r, columns.x, values[0], values[2]);
      store_swiglu(row + r, columns.y, values[1], values[3]);
    }
    next_half(&total);
  }
}

// ---- backward, input -----------------------------------------------------------------------------------------------

fn dy_at(at: vec4<u32>) -> vec4<f32> {
  return vec4(dy[at.x], dy[at.y], dy[at.z], dy[at.w]);
}

// Tile of dx: rows of dy x columns of W, summed over the rows of W.
@compute @workgroup_size(LANES_X, LANES_Y)
fn linear_backward_input(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let origin = tile_origin(wid, lid);
  if (is_outside(origin, params.rows, params.inputs)) { return; }
  let pairs = params.inputs / 2u;
  let last_row = params.rows - 1u;
  let dy_low = min(origin.x + OFFSETS, vec4(last_row)) * params.outputs;
  let dy_high = min(origin.x + 4u + OFFSETS, vec4(last_row)) * params.outputs;
  let columns = min(origin.y + PAIR_OFFSETS, vec4(pairs - 1u));

  var tile: Tile;
  for (var n = 0u; n < params.outputs; n++) {
    let w = (params.row0 + n) * pairs + columns;
    tile = add_term(
      tile,
      mat2x4(dy_at(dy_low + n), dy_at(dy_high + n)),
      mat2x4(vec4(unpack(weight[w.x]), unpack(weight[w.y])), vec4(unpack(weight[w.z]), unpack(weight[w.w]))),
    );
  }
  for (var row = origin.x; row < min(origin.x + 8u, params.rows); row += 4u) {
    for (var r = 0u; r < 4u; r++) {
      let values = row_pairs(tile, r);
      for (var j = 0u; j < 4u; j++) { store_dx(row + r, origin.y + j * LANES_X, values[j]); }
    }
    next_half(&tile);
  }
}

// ---- backward, weight and bias -------------------------------------------------------------------------------------

// Tile of dweight: columns of dy x columns of x, summed over their rows.
@compute @workgroup_size(LANES_X, LANES_Y)
fn linear_backward_weight(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let origin = tile_origin(wid, lid);
  if (is_outside(origin, params.outputs, params.inputs)) { return; }
  let pairs = params.inputs / 2u;
  let last_output = params.outputs - 1u;
  let dy_low = min(origin.x + OFFSETS, vec4(last_output));
  let dy_high = min(origin.x + 4u + OFFSETS, vec4(last_output));
  let columns = min(origin.y + PAIR_OFFSETS, vec4(pairs - 1u));

  var tile: Tile;
  for (var t = 0u; t < params.rows; t++) {
    let at_x = t * pairs + columns;
    let at_dy = t * params.outputs;
    tile = add_term(
      tile,
      mat2x4(dy_at(at_dy + dy_low), dy_at(at_dy + dy_high)),
      mat2x4(vec4(x[at_x.x], x[at_x.y]), vec4(x[at_x.z], x[at_x.w])),
    );
  }
  for (var row = origin.x; row < min(origin.x + 8u, params.outputs); row += 4u) {
    for (var r = 0u; r < 4u; r++) {
      let values = row_pairs(tile, r);
      for (var j = 0u; j < 4u; j++) { add_to_dweight(row + r, origin.y + j * LANES_X, values[j]); }
    }
    next_half(&tile);
  }
}

const BIAS_COLUMNS = 8u;
const BIAS_LANES = 16u;
var<workgroup> partial_bias: array<array<f32, BIAS_COLUMNS>, BIAS_LANES>;

// A workgroup sums 8 columns: 16 lanes each take every 16th row, then the first adds up their sums.
@compute @workgroup_size(BIAS_COLUMNS, BIAS_LANES)
fn linear_backward_bias(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let column = wid.x * BIAS_COLUMNS + lid.x;
  var sum = 0.0;
  if (column < params.outputs) {
    for (var t = lid.y; t < params.rows; t += BIAS_LANES) { sum += dy[t * params.outputs + column]; }
  }
  partial_bias[lid.y][lid.x] = sum;
  workgroupBarrier();
  if (lid.y > 0u || column >= params.outputs) { return; }
  for (var i = 1u; i < BIAS_LANES; i++) { sum += partial_bias[i][lid.x]; }
  dbias[column] += sum;
}
