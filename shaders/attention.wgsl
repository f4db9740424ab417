// Causal grouped-query attention with online softmax (Milakov & Gimelshein 2018; FlashAttention). Never a [T, T] matrix.
//
//   o_i = sum_j p_ij v_j,  p_ij = exp(s_ij - lse_i),  s_ij = scale q_i . k_j,  lse_i = log sum_j exp(s_ij)
//
// over the keys j <= i of the query's own sequence; heads / kv_heads query heads read one key head.
//
//   attention_forward   out, lse     overwritten; keys and values of packed sequences, starts[i] the first row of i's own
//   attention_paged     out          overwritten; keys and values in the cache's blocks, through the sequence's block table
//   attention_delta     delta        overwritten: rowsum(dout * out)
//   attention_dq        dq           overwritten: sum_j ds_ij k_j,  ds_ij = scale p_ij (dout_i . v_j - delta_i)
//   attention_dkv       dk, dv       overwritten: sum_i ds_ij q_i and sum_i p_ij dout_i over the later rows of the sequence
//
// Parallelisation: an invocation per (row, head), neighbouring invocations being neighbouring rows of one head, which read
// the same keys at nearly the same time. dq and dkv are separate passes because there are no float atomics.
//
// Both forward entry points take keys in fours, counted from the sequence's first, through the same function: a query has the
// same bits in training and in the engine, whatever else is in the batch.
//
// HEAD_PAIRS, half the head size, is a constant that the host puts in front, so that registers can hold a row.

struct Params {
  rows: u32,
  heads: u32,
  kv_heads: u32,
  scale: f32,
  block_size: u32,
  max_blocks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<pair>;
@group(0) @binding(2) var<storage, read> k: array<pair>;
@group(0) @binding(3) var<storage, read> v: array<pair>;
@group(0) @binding(4) var<storage, read_write> out: array<pair>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<storage, read> starts: array<u32>;
@group(0) @binding(7) var<storage, read> positions: array<u32>;
@group(0) @binding(8) var<storage, read> slots: array<u32>;
@group(0) @binding(9) var<storage, read> tables: array<u32>;
@group(0) @binding(10) var<storage, read> ends: array<u32>;
@group(0) @binding(11) var<storage, read> saved_out: array<pair>;
@group(0) @binding(12) var<storage, read> saved_lse: array<f32>;
@group(0) @binding(13) var<storage, read> dout: array<vec2<f32>>;
@group(0) @binding(14) var<storage, read_write> delta: array<f32>;
@group(0) @binding(15) var<storage, read> saved_delta: array<f32>;
@group(0) @binding(16) var<storage, read_write> dq: array<vec2<f32>>;
@group(0) @binding(17) var<storage, read_write> dk: array<vec2<f32>>;
@group(0) @binding(18) var<storage, read_write> dv: array<vec2<f32>>;

const GROUP_ROWS = 64u;
const LOWEST = -3.4e38;

alias Row = array<vec2<f32>, HEAD_PAIRS>;

fn query_base(row: u32, head: u32) -> u32 { return (row * params.heads + head) * HEAD_PAIRS; }
fn key_base(row: u32, kv_head: u32) -> u32 { return (row * params.kv_heads + kv_head) * HEAD_PAIRS; }
fn kv_head_of(head: u32) -> u32 { return head / (params.heads / params.kv_heads); }

// ---- forward -------------------------------------------------------------------------------------------------------

// The running softmax of one query: the largest score so far, the sum of exponentials and of weighted values relative to it.
var<private> query: Row;
var<private> sum_values: Row;
var<private> largest: f32;
var<private> sum: f32;

fn load_query(base: u32) {
  for (var p = 0u; p < HEAD_PAIRS; p++) {
    query[p] = unpack(q[base + p]) * params.scale;
    sum_values[p] = vec2(0.0);
  }
  largest = LOWEST;
  sum = 0.0;
}

// Takes in four keys, at these places of k and v. Only the first `count` are there; the others weigh exactly nothing.
fn attend(at: vec4<u32>, count: u32) {
  var s = vec4(0.0);
  for (var p = 0u; p < HEAD_PAIRS; p++) {
    let x = query[p];
    let k0 = unpack(k[at.x + p]);
    let k1 = unpack(k[at.y + p]);
    let k2 = unpack(k[at.z + p]);
    let k3 = unpack(k[at.w + p]);
    s = fma(vec4(x.x), vec4(k0.x, k1.x, k2.x, k3.x), s);
    s = fma(vec4(x.y), vec4(k0.y, k1.y, k2.y, k3.y), s);
  }
  s = select(vec4(LOWEST), s, vec4(0u, 1u, 2u, 3u) < vec4(count));
  let previous = largest;
  largest = max(max(max(s.x, s.y), max(s.z, s.w)), previous);
  let shrink = exp(previous - largest);
  let weight = select(vec4(0.0), exp(s - largest), vec4(0u, 1u, 2u, 3u) < vec4(count));
  sum = fma(sum, shrink, (weight.x + weight.y) + (weight.z + weight.w));
  for (var p = 0u; p < HEAD_PAIRS; p++) {
    var o = sum_values[p] * shrink;
    o = fma(vec2(weight.x), unpack(v[at.x + p]), o);
    o = fma(vec2(weight.y), unpack(v[at.y + p]), o);
    o = fma(vec2(weight.z), unpack(v[at.z + p]), o);
    o = fma(vec2(weight.w), unpack(v[at.w + p]), o);
    sum_values[p] = o;
  }
}

fn store_out(base: u32) {
  for (var p = 0u; p < HEAD_PAIRS; p++) { out[base + p] = pack(sum_values[p] / sum); }
}

@compute @workgroup_size(GROUP_ROWS)
fn attention_forward(@builtin(global_invocation_id) gid: vec3<u32>) {
  let row = gid.x;
  let head = gid.y;
  if (row >= params.rows) { return; }
  let kv_head = kv_head_of(head);
  let start = starts[row];
  load_query(query_base(row, head));
  for (var j = start; j <= row; j += 4u) {
    let keys = min(vec4(j) + vec4(0u, 1u, 2u, 3u), vec4(row));
    attend((keys * params.kv_heads + kv_head) * HEAD_PAIRS, row - j + 1u);
  }
  store_out(query_base(row, head));
  lse[row * params.heads + head] = largest + log(sum);
}

@compute @workgroup_size(GROUP_ROWS)
fn attention_paged(@builtin(global_invocation_id) gid: vec3<u32>) {
  let row = gid.x;
  let head = gid.y;
  if (row >= params.rows) { return; }
  let kv_head = kv_head_of(head);
  let last = positions[row];
  let table = slots[row] * params.max_blocks;
  load_query(query_base(row, head));
  for (var j = 0u; j <= last; j += 4u) {
    let at = min(vec4(j) + vec4(0u, 1u, 2u, 3u), vec4(last));
    let entry = at / params.block_size;
    let blocks = vec4(tables[table + entry.x], tables[table + entry.y], tables[table + entry.z], tables[table + entry.w]);
    let keys = blocks * params.block_size + at % params.block_size;
    attend((keys * params.kv_heads + kv_head) * HEAD_PAIRS, last - j + 1u);
  }
  store_out(query_base(row, head));
}

// ---- backward ------------------------------------------------------------------------------------------------------

@compute @workgroup_size(GROUP_ROWS)
fn attention_delta(@builtin(global_invocation_id) gid: vec3<u32>) {
  if (gid.x >= params.rows) { return; }
  let base = query_base(gid.x, gid.y);
  var total = 0.0;
  for (var p = 0u; p < HEAD_PAIRS; p++) { total += dot(dout[base + p], unpack(saved_out[base + p])); }
  delta[gid.x * params.heads + gid.y] = total;
}

var<private> first: Row;
var<private> second: Row;
var<private> d_first: Row;
var<private> d_second: Row;

@compute @workgroup_size(GROUP_ROWS)
fn attention_dq(@builtin(global_invocation_id) gid: vec3<u32>) {
  let row = gid.x;
  let head = gid.y;
  if (row >= params.rows) { return; }
  let base = query_base(row, head);
  let kv_head = kv_head_of(head);
  let row_lse = saved_lse[row * params.heads + head];
  let row_delta = saved_delta[row * params.heads + head];
  for (var p = 0u; p < HEAD_PAIRS; p++) {
    first[p] = unpack(q[base + p]) * params.scale;
    second[p] = dout[base + p];
    d_first[p] = vec2(0.0);
  }
  for (var j = starts[row]; j <= row; j++) {
    let at = key_base(j, kv_head);
    var s = vec2(0.0);
    var dp = vec2(0.0);
    for (var p = 0u; p < HEAD_PAIRS; p++) {
      s = fma(first[p], unpack(k[at + p]), s);
      dp = fma(second[p], unpack(v[at + p]), dp);
    }
    let ds = exp(s.x + s.y - row_lse) * (dp.x + dp.y - row_delta) * params.scale;
    for (var p = 0u; p < HEAD_PAIRS; p++) { d_first[p] = fma(vec2(ds), unpack(k[at + p]), d_first[p]); }
  }
  for (var p = 0u; p < HEAD_PAIRS; p++) { dq[base + p] = d_first[p]; }
}

@compute @workgroup_size(GROUP_ROWS)
fn attention_dkv(@builtin(global_invocation_id) gid: vec3<u32>) {
  let row = gid.x;
  let kv_head = gid.y;
  if (row >= params.rows) { return; }
  let at = key_base(row, kv_head);
  for (var p = 0u; p < HEAD_PAIRS; p++) {
    first[p] = unpack(k[at + p]) * params.scale;
    second[p] = unpack(v[at + p]);
    d_first[p] = vec2(0.0);
    d_second[p] = vec2(0.0);
  }
  let group = params.heads / params.kv_heads;
  let end = ends[row];
  for (var head = kv_head * group; head < (kv_head + 1u) * group; head++) {
    for (var i = row; i < end; i++) {
      let base = query_base(i, head);
      var s = vec2(0.0);
      var dp = vec2(0.0);
      for (var p = 0u; p < HEAD_PAIRS; p++) {
        s = fma(first[p], unpack(q[base + p]), s);
        dp = fma(second[p], dout[base + p], dp);
      }
      let weight = exp(s.x + s.y - saved_lse[i * params.heads + head]);
      let ds = weight * (dp.x + dp.y - saved_delta[i * params.heads + head]) * params.scale;
      for (var p = 0u; p < HEAD_PAIRS; p++) {
        d_first[p] = fma(vec2(ds), unpack(q[base + p]), d_first[p]);
        d_second[p] = fma(vec2(weight), dout[base + p], d_second[p]);
      }
    }
  }
  for (var p = 0u; p < HEAD_PAIRS; p++) {
    dk[at + p] = d_first[p];
    dv[at + p] = d_second[p];
  }
}
