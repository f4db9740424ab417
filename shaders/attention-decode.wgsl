// attention_paged of attention.wgsl for adapters that have more invocations than a decode step has heads: a workgroup goes through
// a row's keys, and the bits are the same.
//
//   attention_decode   out   overwritten; keys and values in the cache's blocks, through the sequence's block table
//
// What attention.wgsl does four keys after the other falls into parts, most of which need no order. The largest score up to each
// four is a maximum, which has the same bits in any order; with it, every weight and every factor by which older sums shrink is
// known at once. Only the sums themselves go from four to four, each element of the values in an invocation of its own.
//
// Parallelisation: a workgroup takes HEADS query heads of one row that share a key head, 4 LANES keys at a time: an invocation
// scores and weighs four keys, then sums PAIRS pairs of elements of the values over all of them.
//
// The host puts these constants in front: HEADS, HEAD_PAIRS (half the head size) and PAIRS, HEAD_PAIRS / LANES rounded up.

struct Params {
  rows: u32,
  heads: u32,
  kv_heads: u32,
  scale: f32,
  block_size: u32,
  max_blocks: u32,
  first_block: u32, // of this layer in the cache
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> k: array<pair>;
@group(0) @binding(3) var<storage, read> v: array<pair>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read> slots: array<u32>;
@group(0) @binding(6) var<storage, read> tables: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<vec2<f32>>;

const LANES = 64u;
const KEYS = 4u * LANES;
const FOUR = vec4(0u, 1u, 2u, 3u);
const LOWEST = -3.4e38;

var<workgroup> query: array<array<vec2<f32>, HEAD_PAIRS>, HEADS>;
// Of each four of the keys: where its rows begin in the cache, its largest score, its weights, and by what older sums shrink.
var<workgroup> key_rows: array<vec4<u32>, LANES>;
var<workgroup> four_largest: array<array<f32, LANES>, HEADS>;
var<workgroup> weights: array<array<vec4<f32>, LANES>, HEADS>;
var<workgroup> shrinks: array<array<f32, LANES>, HEADS>;
var<workgroup> sums: array<f32, HEADS>;

// Where the row of key j begins in the cache.
fn key_row(row: u32, j: u32, kv_head: u32) -> u32 {
  let physical = params.first_block + tables[slots[row] * params.max_blocks + j / params.block_size];
  return ((physical * params.block_size + j % params.block_size) * params.kv_heads + kv_head) * HEAD_PAIRS;
}

// The scores of one key for all heads.
fn score(at: u32) -> array<f32, HEADS> {
  var totals: array<vec2<f32>, HEADS>;
  for (var p = 0u; p < HEAD_PAIRS; p++) {
    let key = unpack(k[at + p]);
    for (var h = 0u; h < HEADS; h++) { totals[h] = fma(query[h][p], key, totals[h]); }
  }
  var scores: array<f32, HEADS>;
  for (var h = 0u; h < HEADS; h++) { scores[h] = totals[h].x + totals[h].y; }
  return scores;
}

@compute @workgroup_size(LANES)
fn attention_decode(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = params.heads / params.kv_heads;
  let tiles = (group + HEADS - 1u) / HEADS; // of heads, for one key head
  let index = linear_group(wid, groups);
  let row = index / (params.kv_heads * tiles);
  if (row >= params.rows) { return; }
  let kv_head = index / tiles % params.kv_heads;
  let first_head = kv_head * group + index % tiles * HEADS;
  let end_head = (kv_head + 1u) * group; // a tile that reaches beyond it repeats the last head
  let length = positions[row] + 1u;

  for (var i = lane; i < HEADS * HEAD_PAIRS; i += LANES) {
    let head = min(first_head + i / HEAD_PAIRS, end_head - 1u);
    query[i / HEAD_PAIRS][i % HEAD_PAIRS] = q[(row * params.heads + head) * HEAD_PAIRS + i % HEAD_PAIRS] * params.scale;
  }

  var largest: array<f32, HEADS>;
  for (var h = 0u; h < HEADS; h++) { largest[h] = LOWEST; }
  var sum = 0.0; // of head `lane`
  var sum_values: array<array<vec2<f32>, PAIRS>, HEADS>;

  for (var first = 0u; first < length; first += KEYS) {
    let fours = (min(length - first, KEYS) + 3u) / 4u;
    workgroupBarrier();
    let j = first + 4u * lane;
    let is_visible = j + FOUR < vec4(length);
    var scores: array<vec4<f32>, HEADS>;
    for (var h = 0u; h < HEADS; h++) { scores[h] = vec4(LOWEST); }
    for (var i = 0u; i < 4u && j + i < length; i++) {
      let at = key_row(row, j + i, kv_head);
      let scored = score(at);
      key_rows[lane][i] = at;
      for (var h = 0u; h < HEADS; h++) { scores[h] = select(scores[h], vec4(scored[h]), FOUR == vec4(i)); }
    }
    for (var h = 0u; h < HEADS; h++) {
      let s = scores[h];
      four_largest[h][lane] = max(max(s.x, s.y), max(s.z, s.w));
    }
    workgroupBarrier();

    for (var h = 0u; h < HEADS; h++) {
      var before = largest[h];
      for (var f = 0u; f < lane; f++) { before = max(before, four_largest[h][f]); }
      let now = max(before, four_largest[h][lane]);
      weights[h][lane] = select(vec4(0.0), exp_vec4(scores[h] - now), is_visible);
      shrinks[h][lane] = exp_f32(before - now);
      for (var f = 0u; f < fours; f++) { largest[h] = max(largest[h], four_largest[h][f]); }
    }
    workgroupBarrier();

    for (var f = 0u; f < fours && lane < HEADS; f++) {
      let w = weights[lane][f];
      sum = fma(sum, shrinks[lane][f], (w.x + w.y) + (w.z + w.w));
    }
    for (var f = 0u; f < fours; f++) {
      for (var h = 0u; h < HEADS; h++) {
        for (var n = 0u; n < PAIRS; n++) { sum_values[h][n] *= shrinks[h][f]; }
      }
      for (var i = 0u; i < 4u && first + 4u * f + i < length; i++) {
        for (var n = 0u; n < PAIRS; n++) {
          let value = unpack(v[key_rows[f][i] + min(lane + n * LANES, HEAD_PAIRS - 1u)]);
          for (var h = 0u; h < HEADS; h++) { sum_values[h][n] = fma(vec2(weights[h][f][i]), value, sum_values[h][n]); }
        }
      }
    }
  }

  if (lane < HEADS) { sums[lane] = sum; }
  workgroupBarrier();
  for (var h = 0u; h < HEADS && first_head + h < end_head; h++) {
    for (var n = 0u; n < PAIRS; n++) {
      let p = lane + n * LANES;
      if (p < HEAD_PAIRS) { out[(row * params.heads + first_head + h) * HEAD_PAIRS + p] = sum_values[h][n] / sums[h]; }
    }
  }
}
