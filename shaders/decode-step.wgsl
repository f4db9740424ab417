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
// step leaves for the next stays in workgroup memory. Rows past the end hold nothing of worth and are not stored.

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

// The projections of a layer in turn, and the head. Those with even numbers are of the stream's norm, the others of between().
const QKV = 0u;
const OUTPUT = 1u;
const GATE_UP = 2u;
const DOWN = 3u;
const HEAD = 4u;

struct Projection {
  columns: u32, // pairs
  terms: u32,   // pairs
  source: u32,
  stride: u32,  // between rows of the source
}

fn projection(kind: u32) -> Projection {
  switch kind {
    case QKV: { return Projection(qkv(), params.stream, normed(), params.stream); }
    case OUTPUT: { return Projection(params.stream, queries(), between(), qkv()); }
    case GATE_UP: { return Projection(2u * params.intermediate, params.stream, normed(), params.stream); }
    case DOWN: { return Projection(params.stream, params.intermediate, between(), params.intermediate); }
    default: { return Projection((params.vocabulary + 1u) / 2u, params.stream, normed(), params.stream); }
  }
}

// A projection of the 16 rows; its weight begins at `weight_at` and its bias follows, but for the head, which has none. An
// invocation's second pair of columns is LANES further than the first, and of gate and up the one that the first gates.
fn project(lane: u32, kind: u32, weight_at: u32) {
  let place = projection(kind);
  let outputs = select(2u * place.columns, params.vocabulary, kind == HEAD);
  let bias_at = weight_at + outputs * place.terms;
  let apart = select(LANES, params.intermediate, kind == GATE_UP);
  let firsts = select(place.columns, params.intermediate, kind == GATE_UP);
  var x_at: Places;
  for (var i = 0u; i < LOADS; i++) { x_at[i] = place.source + (lane % HELD + i * HELD) * place.stride; }
  for (var first = 0u; first < firsts; first += select(LANES * PAIRS, LANES, kind == GATE_UP)) {
    var columns: array<u32, PAIRS>;
    var rows_at: array<vec2<u32>, PAIRS>; // those past the end are the last
    for (var j = 0u; j < PAIRS; j++) {
      columns[j] = first + lane + j * apart;
      rows_at[j] = weight_at + min(2u * columns[j] + vec2(0u, 1u), vec2(outputs - 1u)) * place.terms;
    }
    var tile = tile_product(x_at, rows_at, place.terms);
    var bias: Columns;
    for (var j = 0u; j < PAIRS && kind != HEAD; j++) { bias[j] = weight_pair(bias_at + columns[j]); }
    for (var row = 0u; row < min(TILE_ROWS, params.rows - group_row); row += STORED) {
      for (var r = 0u; r < STORED; r++) {
        var sums = tile[r];
        for (var j = 0u; j < PAIRS; j++) { sums[j] = select(sums[j] + bias[j], sums[j], kind == HEAD); }
        keep(kind, place.columns, row + r, columns, sums);
      }
      next_rows(&tile);
    }
  }
  workgroupBarrier();
}

// Row r of a tile, where it has columns.
fn keep(kind: u32, end: u32, r: u32, columns: array<u32, PAIRS>, sums: Columns) {
  if (kind == GATE_UP) {
    if (columns[0] < end / 2u) {
      kept[between() + r * params.intermediate + columns[0]] = sums[0] * sigmoid(sums[0]) * sums[1];
    }
    return;
  }
  for (var j = 0u; j < PAIRS; j++) {
    if (columns[j] < end) { keep_pair(kind, r, columns[j], sums[j]); }
  }
}

fn keep_pair(kind: u32, r: u32, column: u32, value: vec2<f32>) {
  if (kind == QKV) {
    kept[between() + r * qkv() + column] = value;
  } else if (kind != HEAD) {
    kept[STREAM + r * params.stream + column] += value;
  } else if (group_row + r < params.rows) {
    let at = (group_row + r) * params.vocabulary + 2u * column;
    logits[at] = value.x;
    if (2u * column + 1u < params.vocabulary) { logits[at + 1u] = value.y; }
  }
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

// Norms and projections have one place each in this loop: a compiler copies what a function does to each of its calls.
@compute @workgroup_size(LANES)
fn decode_step(@builtin(workgroup_id) wid: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  group_row = wid.x * TILE_ROWS;
  let stream = params.stream;
  for (var i = lane; i < TILE_ROWS * stream; i += LANES) {
    let token = tokens[min(group_row + i / stream, params.rows - 1u)];
    kept[STREAM + i] = weight_pair(token * stream + i % stream);
  }
  workgroupBarrier();

  var at = params.vocabulary * stream; // in `parameters`: they are used in their order
  for (var step = 0u; step <= 4u * params.layers; step++) {
    let kind = select(step % 4u, HEAD, step == 4u * params.layers);
    if (kind % 2u == 0u) {
      norm_stream(lane, at);
      at += stream;
    }
    project(lane, kind, select(at, params.head_at, kind == HEAD));
    if (kind == QKV) {
      first_block = step / 4u * params.layer_blocks;
      rotate_and_cache(lane);
      attend(lane);
    }
    let place = projection(kind);
    at += 2u * place.columns * place.terms + place.columns;
  }
}
