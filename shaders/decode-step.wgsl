enable subgroups;

// A decode step of a small model, from token to logits, in one dispatch. Where a dispatch costs more than its work, which is so
// for the 50 dispatches of a step of a small model on a software adapter, this is what a step costs.
//
//   decode_step   k_cache, v_cache   the token's keys and values written to the paged cache, as by kv_cache_write
//                 logits             overwritten
//
// `parameters` holds all of the model's parameters one after the other, in the order of src/model/packed-weights.ts,
// with zeros for biases that it has not. Row r is the next position of the sequence whose block table is row r.
//
// Every sum is that of the separate kernels, through the same functions, and everything is rounded where they round it: the
// bits are theirs, and so the trainer's.
//
// Parallelisation: a workgroup of LANES invocations, a subgroup, takes 16 rows through all of it: a row needs no other. What a
// step leaves for the next stays in workgroup memory. Rows past the end repeat the last; what they leave is not stored.

override LANES = 32u;     // the host sets the adapter's smallest size of a subgroup
override KEPT_PAIRS = 1u; // of `kept`

struct Params {
  rows: u32,
  vocabulary: u32,
  layers: u32,
  heads: u32,
  kv_heads: u32,
  // Pairs of a row in the residual stream and in the MLP's intermediate.
  stream: u32,
  intermediate: u32,
  eps: f32,
  scale: f32,  // of scores
  chunks: u32, // as in attention.wgsl
  tile: u32,
  block_size: u32,
  max_blocks: u32,
  layer_blocks: u32, // of the cache, for each layer
  head_at: u32,      // of the head in `parameters`, in pairs
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
@group(0) @binding(3) var<storage, read> tables: array<u32>;
@group(0) @binding(4) var<storage, read> parameters: array<pair>;
@group(0) @binding(5) var<storage, read> rope: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> k_cache: array<pair>;
@group(0) @binding(7) var<storage, read_write> v_cache: array<pair>;
@group(0) @binding(8) var<storage, read_write> logits: array<f32>;

// Three arrays of 16 rows: the residual stream, its norm, and what lies between two projections.
var<workgroup> kept: array<vec2<f32>, KEPT_PAIRS>;
const STREAM = 0u;
fn normed() -> u32 { return TILE_ROWS * params.stream; }
fn between() -> u32 { return 2u * TILE_ROWS * params.stream; }

var<private> group_row: u32; // first row of the workgroup

fn x_pair(at: u32) -> vec2<f32> { return kept[at]; }
fn norm_pair(at: u32) -> vec2<f32> { return kept[at]; }
fn weight_pair(at: u32) -> vec2<f32> { return unpack(parameters[at]); }

// ---- norms and projections -----------------------------------------------------------------------------------------

fn norm_stream(lane: u32, weight_at: u32) {
  for (var first = 0u; first < TILE_ROWS; first += LANES / ROW_LANES) {
    let start = (first + lane / ROW_LANES) * params.stream;
    let scale = row_rstd(lane, STREAM + start, params.stream, 2u * params.stream, params.eps);
    for (var p = lane % ROW_LANES; p < params.stream; p += ROW_LANES) {
      kept[normed() + start + p] = kept[STREAM + start + p] * scale * weight_pair(weight_at + p);
    }
  }
  workgroupBarrier();
}

// Where a weight of `outputs` rows of `terms` pairs has the two rows that are a pair of columns of the product; those past the
// end are the last.
fn weight_rows(first: u32, column_pair: u32, outputs: u32, terms: u32) -> vec2<u32> {
  return first + min(2u * column_pair + vec2(0u, 1u), vec2(outputs - 1u)) * terms;
}

// The tile of the 16 rows at `source`, `stride` pairs apart, and the invocation's pairs of columns from `column_pair` on.
fn project(lane: u32, source: u32, stride: u32, weight_at: u32, column_pair: u32, outputs: u32, terms: u32) -> Tile {
  var rows_at: array<vec2<u32>, PAIRS>;
  for (var j = 0u; j < PAIRS; j++) { rows_at[j] = weight_rows(weight_at, column_pair + j * LANES, outputs, terms); }
  return tile_product(source + (lane % HELD + vec2(0u, HELD)) * stride, rows_at, terms);
}

// Adds the projection of the 16 rows at between() to the residual stream.
fn add_projection(lane: u32, stride: u32, weight_at: u32, bias_at: u32, terms: u32) {
  for (var first = 0u; first < params.stream; first += LANES * PAIRS) {
    let tile = project(lane, between(), stride, weight_at, first + lane, 2u * params.stream, terms);
    for (var j = 0u; j < PAIRS; j++) {
      let column = first + lane + j * LANES;
      for (var r = 0u; r < TILE_ROWS && column < params.stream; r++) {
        let at = STREAM + r * params.stream + column;
        kept[at] = kept[at] + (tile[r][j] + weight_pair(bias_at + column));
      }
    }
  }
  workgroupBarrier();
}

// ---- attention -----------------------------------------------------------------------------------------------------

fn queries() -> u32 { return params.heads * HEAD_PAIRS; }
fn keys() -> u32 { return params.kv_heads * HEAD_PAIRS; }
fn qkv() -> u32 { return queries() + 2u * keys(); }

// For lib/attention-tile.wgsl and lib/attention-paged.wgsl: a query gives way to what it attended to.
fn query_base(row: u32, head: u32) -> u32 { return between() + (row - group_row) * qkv() + head * HEAD_PAIRS; }
fn slot_of(row: u32) -> u32 { return row; }
fn q_pair(at: u32) -> vec2<f32> { return kept[at]; }
fn k_pair(at: u32) -> vec2<f32> { return unpack(k_cache[at]); }
fn v_pair(at: u32) -> vec2<f32> { return unpack(v_cache[at]); }
fn store_pair(at: u32, value: vec2<f32>) { kept[at] = value; }

fn project_qkv(lane: u32, weight_at: u32, bias_at: u32) {
  for (var first = 0u; first < qkv(); first += LANES * PAIRS) {
    let tile = project(lane, normed(), params.stream, weight_at, first + lane, 2u * qkv(), params.stream);
    for (var j = 0u; j < PAIRS; j++) {
      let column = first + lane + j * LANES;
      for (var r = 0u; r < TILE_ROWS && column < qkv(); r++) {
        kept[between() + r * qkv() + column] = tile[r][j] + weight_pair(bias_at + column);
      }
    }
  }
  workgroupBarrier();
}

// Rotates queries in place and keys into the cache, and puts values there: an invocation takes a pair of a head's first half
// together with the pair half a head further.
fn rotate_and_cache(lane: u32) {
  const HALF = HEAD_PAIRS / 2u;
  let steps = qkv() / 2u;
  for (var i = lane; i < TILE_ROWS * steps; i += LANES) {
    let row = group_row + i / steps;
    if (row >= params.rows) { break; }
    let column = i % steps / HALF * HEAD_PAIRS + i % HALF;
    let at = between() + i / steps * qkv() + column;
    var low = kept[at];
    var high = kept[at + HALF];
    let position = positions[row];
    if (column < queries() + keys()) {
      let cosine = rope[position * HEAD_PAIRS + i % HALF];
      let sine = rope[position * HEAD_PAIRS + HALF + i % HALF];
      let even = rotated(vec2(low.x, high.x), cosine.x, sine.x);
      let odd = rotated(vec2(low.y, high.y), cosine.y, sine.y);
      low = vec2(even.x, odd.x);
      high = vec2(even.y, odd.y);
    }
    if (column < queries()) {
      kept[at] = low;
      kept[at + HALF] = high;
      continue;
    }
    let physical = first_block + tables[row * params.max_blocks + position / params.block_size];
    let cached = (physical * params.block_size + position % params.block_size) * keys() + (column - queries()) % keys();
    if (column < queries() + keys()) {
      k_cache[cached] = pack(low);
      k_cache[cached + HALF] = pack(high);
    } else {
      v_cache[cached] = pack(low);
      v_cache[cached + HALF] = pack(high);
    }
  }
  storageBarrier();
  workgroupBarrier();
}

fn attend(lane: u32) {
  let tiles = params.kv_heads * tiles_per_group();
  for (var i = lane; i < TILE_ROWS * tiles; i += LANES) {
    let row = group_row + i / tiles;
    if (row >= params.rows) { break; }
    place_tile(row, i % tiles);
    attend_paged();
    store_out();
  }
  workgroupBarrier();
}

// ---- the model -----------------------------------------------------------------------------------------------------

// Gate and up projections and their product: the first pair of columns of an invocation is the gate's, the second up's.
fn gated(lane: u32, gate_at: u32, up_at: u32, gate_bias_at: u32, up_bias_at: u32) {
  let outputs = 2u * params.intermediate;
  let x_at = normed() + (lane % HELD + vec2(0u, HELD)) * params.stream;
  for (var first = 0u; first < params.intermediate; first += LANES) {
    let column = first + lane;
    let gate = weight_rows(gate_at, column, outputs, params.stream);
    let up = weight_rows(up_at, column, outputs, params.stream);
    let tile = tile_product(x_at, array<vec2<u32>, PAIRS>(gate, up), params.stream);
    for (var r = 0u; r < TILE_ROWS && column < params.intermediate; r++) {
      let g = tile[r][0] + weight_pair(gate_bias_at + column);
      let u = tile[r][1] + weight_pair(up_bias_at + column);
      kept[between() + r * params.intermediate + column] = g * sigmoid(g) * u;
    }
  }
  workgroupBarrier();
}

@compute @workgroup_size(LANES)
fn decode_step(@builtin(workgroup_id) wid: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  group_row = wid.x * TILE_ROWS;
  let stream = params.stream;
  for (var i = lane; i < TILE_ROWS * stream; i += LANES) {
    let token = tokens[min(group_row + i / stream, params.rows - 1u)];
    kept[STREAM + i] = weight_pair(token * stream + i % stream);
  }
  workgroupBarrier();

  var norm_at = params.vocabulary * stream;
  for (var layer = 0u; layer < params.layers; layer++) {
    let qkv_at = norm_at + stream;
    let qkv_bias_at = qkv_at + 2u * qkv() * stream;
    let output_at = qkv_bias_at + qkv();
    let output_bias_at = output_at + 2u * stream * queries();
    let mlp_norm_at = output_bias_at + stream;
    let gate_at = mlp_norm_at + stream;
    let up_at = gate_at + 2u * params.intermediate * stream;
    let gate_bias_at = up_at + 2u * params.intermediate * stream;
    let up_bias_at = gate_bias_at + params.intermediate;
    let down_at = up_bias_at + params.intermediate;
    let down_bias_at = down_at + 2u * stream * params.intermediate;

    first_block = layer * params.layer_blocks;
    norm_stream(lane, norm_at);
    project_qkv(lane, qkv_at, qkv_bias_at);
    rotate_and_cache(lane);
    attend(lane);
    add_projection(lane, qkv(), output_at, output_bias_at, queries());
    norm_stream(lane, mlp_norm_at);
    gated(lane, gate_at, up_at, gate_bias_at, up_bias_at);
    add_projection(lane, params.intermediate, down_at, down_bias_at, params.intermediate);
    norm_at = down_bias_at + stream;
  }

  norm_stream(lane, norm_at);
  for (var first = 0u; 2u * first < params.vocabulary; first += LANES * PAIRS) {
    let tile = project(lane, normed(), stream, params.head_at, first + lane, params.vocabulary, stream);
    for (var j = 0u; j < PAIRS; j++) {
      for (var r = 0u; r < TILE_ROWS && group_row + r < params.rows; r++) {
        let column = 2u * (first + lane + j * LANES);
        let at = (group_row + r) * params.vocabulary + column;
        if (column < params.vocabulary) { logits[at] = tile[r][j].x; }
        if (column + 1u < params.vocabulary) { logits[at + 1u] = tile[r][j].y; }
      }
    }
  }
}
