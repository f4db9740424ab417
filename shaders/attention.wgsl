// Causal grouped-query attention with online softmax (Milakov & Gimelshein 2018; FlashAttention). Never a [T, T] matrix.
//
//   o_i = sum_j p_ij v_j,  p_ij = exp(s_ij - lse_i),  s_ij = scale q_i . k_j,  lse_i = log sum_j exp(s_ij)
//
// over the keys j <= i of the query's own sequence; heads / kv_heads query heads read one key head.
//
//   attention_forward   out, lse     overwritten; keys and values of packed sequences, starts[i] the first row of i's own
//   attention_paged     out          overwritten; keys and values in the cache's blocks, through the sequence's block table
//   attention_delta     delta        overwritten: delta_i = dout_i . out_i
//   attention_dq        dq           overwritten: sum_j ds_ij k_j,  ds_ij = scale p_ij (dout_i . v_j - delta_i)
//   attention_dkv       dk, dv       overwritten: sum_i ds_ij q_i and sum_i p_ij dout_i over the later rows of the sequence
//
// Definition. Every kernel of attention without subgroup matrices computes this, to the bit:
//
//   score   s_ij: q_i times scale, rounded; the head's octets (eight numbers) in SHARES shares, octet n in share n % SHARES; in
//           a share even and odd elements are summed apart, by fma in order, then joined; the shares are joined in halves, s
//           and s + SHARES / 2, until one is left. SHARES is the head size / 16, rounded up to a power of two.
//   block   The keys of a sequence in BLOCKs of 128, counted from its first; each block on its own is (m, l, o). It takes keys
//           in STEPs of 8: m' = max(m, scores), p = exp(s - m'), and both sums shrink by exp(m - m'):
//           l = fma(l, shrink, sum of p as a balanced tree), o = o shrink, then o = fma(p, v, o) key by key.
//   merge   Blocks are joined in order, each with all before it: M' = max(M, m), and L = fma(L, exp(M - M'), l exp(m - M')), O in
//           the same way. out = O / L, lse = M + log L.
//
// A key that a query may not see changes none of its numbers, so that a query has the same bits in training and in the engine,
// whatever else is in its tile and in the batch, and whoever computes its blocks.
//
// Backward, p_ij = exp(s_ij - lse_i) is computed anew; delta_i and dout_i . v_j are summed as a score is. dq takes keys in order,
// dq = fma(ds, k, dq); dk and dv take the heads of the key head in order and of each the queries in order. For dk and dv s_ij is of
// k_j times scale, rounded, and q_i.
//
// This file is attention for software adapters, which have few invocations and pay for each exchange between them; GPUs take
// attention-lanes.wgsl. Parallelisation: an invocation keeps a tile of queries in registers, ROWS neighbouring rows x HEADS heads
// that share a key head, and takes each key and value once for all of them. Neighbouring invocations are neighbouring tiles of rows;
// in attention_paged, where rows are of different sequences, neighbouring key heads of one row. attention_dkv keeps KEYS
// neighbouring keys of one key head instead. dq and dkv are separate passes because there are no float atomics.
//
// How a row of the other side comes to a tile is in lib/attention-own.wgsl, where each invocation loads it for itself, and in
// lib/attention-shared.wgsl, where a subgroup loads it once; the host puts one of them in front. Either gives the same bits.
//
// What a tile of queries is and does is in lib/attention-tile.wgsl. The host puts its constants in front, and KEYS.

struct Params {
  rows: u32,
  heads: u32,
  kv_heads: u32,
  scale: f32,
  chunks: u32, // CHUNKS
  tile: u32,   // rows of registers: ROWS * HEADS, or KEYS
  block_size: u32,
  max_blocks: u32,
  first_block: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> k: array<pair>;
@group(0) @binding(3) var<storage, read> v: array<pair>;
@group(0) @binding(4) var<storage, read_write> out: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<storage, read> starts: array<u32>;
@group(0) @binding(7) var<storage, read> positions: array<u32>;
@group(0) @binding(8) var<storage, read> slots: array<u32>;
@group(0) @binding(9) var<storage, read> tables: array<u32>;
@group(0) @binding(10) var<storage, read> ends: array<u32>;
@group(0) @binding(12) var<storage, read> saved_lse: array<f32>;
@group(0) @binding(13) var<storage, read> dout: array<vec2<f32>>;
@group(0) @binding(14) var<storage, read_write> delta: array<f32>;
@group(0) @binding(15) var<storage, read> saved_delta: array<f32>;
@group(0) @binding(16) var<storage, read_write> dq: array<vec2<f32>>;
@group(0) @binding(17) var<storage, read_write> dk: array<vec2<f32>>;
@group(0) @binding(18) var<storage, read_write> dv: array<vec2<f32>>;

const GROUP = 32u;
fn query_base(row: u32, head: u32) -> u32 { return (row * params.heads + head) * HEAD_PAIRS; }
fn slot_of(row: u32) -> u32 { return slots[row]; }

fn q_pair(at: u32) -> vec2<f32> { return q[at]; }
fn k_pair(at: u32) -> vec2<f32> { return unpack(k[at]); }
fn v_pair(at: u32) -> vec2<f32> { return unpack(v[at]); }
fn store_pair(at: u32, value: vec2<f32>) { out[at] = value; }

// ---- forward -------------------------------------------------------------------------------------------------------

@compute @workgroup_size(GROUP)
fn attention_forward(@builtin(global_invocation_id) gid: vec3<u32>) {
  enter();
  place_tile(gid.x, gid.y);
  load_queries();
  begin_softmax();
  // The tile's rows are of one sequence or of several: each in turn, the last one first.
  let first = first_of_tiles(starts[row_of(0u)]);
  var end = last_of_tiles(row_of(QUERIES - 1u)) + 1u;
  while (end > first) {
    let start = starts[end - 1u];
    for (var begin = start; begin < end; begin += BLOCK) {
      begin_block();
      let block_end = min(begin + BLOCK, end);
      for (var j = begin; j < block_end; j += STEP) {
        let count = min(STEP, end - j);
        for (var i = 0u; i < count; i++) {
          take_k(key_base(j + i, kv_head));
          score();
        }
        var visible: array<u32, QUERIES>;
        for (var n = 0u; n < QUERIES; n++) {
          let row = row_of(n);
          visible[n] = select(0u, row + 1u - j, starts[row] == start && j <= row);
        }
        weigh(count, visible);
        for (var i = 0u; i < count; i++) {
          take_v(key_base(j + i, kv_head));
          add_value();
        }
      }
      end_block();
    }
    end = start;
  }
  for (var n = 0u; n < QUERIES; n++) {
    if (is_stored(n)) { lse[row_of(n) * params.heads + head_of(n)] = all_largest[n] + log_f32(all_sum[n]); }
  }
  store_out();
}

@compute @workgroup_size(GROUP)
fn attention_paged(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let tiles = params.kv_heads * tiles_per_group();
  let index = linear_index(gid, groups, GROUP);
  place_tile(index / tiles, index % tiles);
  if (first_row >= params.rows) { return; }
  first_block = params.first_block;
  attend_paged();
  store_out();
}

// ---- backward ------------------------------------------------------------------------------------------------------

var<private> dout_row: Row;

fn load_dout(at: u32) {
  for (var i = 0u; i < params.chunks; i++) {
    for (var c = 0u; c < CHUNKS - 1u; c++) { dout_row[c] = dout_row[c + 1u]; }
    for (var p = 0u; p < CHUNK; p++) { dout_row[CHUNKS - 1u][p] = dout[at + i * CHUNK + p]; }
  }
}

@compute @workgroup_size(GROUP)
fn attention_delta(@builtin(global_invocation_id) gid: vec3<u32>) {
  if (gid.x >= params.rows) { return; }
  let base = query_base(gid.x, gid.y);
  load_q(base); // of what attention gave, which is bound as q
  load_dout(base);
  delta[gid.x * params.heads + gid.y] = dot_rows(dout_row, q_row);
}

var<private> d_out: array<Row, QUERIES>;
var<private> d_query: array<Row, QUERIES>;
var<private> query_lse: array<f32, QUERIES>;
var<private> query_delta: array<f32, QUERIES>;

@compute @workgroup_size(GROUP)
fn attention_dq(@builtin(global_invocation_id) gid: vec3<u32>) {
  enter();
  place_tile(gid.x, gid.y);
  load_queries();
  for (var i = 0u; i < params.tile; i++) {
    load_dout(query_base(row_of(i), head_of(i)));
    for (var n = 0u; n < QUERIES - 1u; n++) {
      d_out[n] = d_out[n + 1u];
      query_lse[n] = query_lse[n + 1u];
      query_delta[n] = query_delta[n + 1u];
    }
    d_out[QUERIES - 1u] = dout_row;
    query_lse[QUERIES - 1u] = saved_lse[row_of(i) * params.heads + head_of(i)];
    query_delta[QUERIES - 1u] = saved_delta[row_of(i) * params.heads + head_of(i)];
  }

  let last = last_of_tiles(row_of(QUERIES - 1u)) + 1u;
  for (var j = first_of_tiles(starts[row_of(0u)]); j < last; j++) {
    take_k(key_base(j, kv_head));
    take_v(key_base(j, kv_head));
    for (var n = 0u; n < QUERIES; n++) {
      let row = row_of(n);
      let weight = select(0.0, exp_f32(dot_rows(query[n], k_row) - query_lse[n]), starts[row] <= j && j <= row);
      let ds = weight * (dot_rows(d_out[n], v_row) - query_delta[n]) * params.scale;
      d_query[n] = add_scaled(d_query[n], k_row, ds);
    }
  }

  for (var i = 0u; i < params.tile; i++) {
    let at = query_base(row_of(i), head_of(i));
    for (var j = 0u; j < params.chunks; j++) {
      if (is_stored(i)) {
        for (var p = 0u; p < CHUNK; p++) { dq[at + j * CHUNK + p] = d_query[0][0][p]; }
      }
      d_query[0] = without_first(d_query[0]);
    }
    for (var n = 0u; n < QUERIES - 1u; n++) { d_query[n] = d_query[n + 1u]; }
  }
}

// The tile of keys: rows first_row to first_row + KEYS.
var<private> key: array<Row, KEYS>;
var<private> value: array<Row, KEYS>;
var<private> d_key: array<Row, KEYS>;
var<private> d_value: array<Row, KEYS>;

@compute @workgroup_size(GROUP)
fn attention_dkv(@builtin(global_invocation_id) gid: vec3<u32>) {
  enter();
  first_row = gid.x * KEYS;
  kv_head = gid.y;
  for (var i = 0u; i < params.tile; i++) {
    let at = key_base(min(first_row + i, params.rows - 1u), kv_head);
    load_k(at);
    load_v(at);
    for (var n = 0u; n < KEYS - 1u; n++) {
      key[n] = key[n + 1u];
      value[n] = value[n + 1u];
    }
    key[KEYS - 1u] = scaled(k_row, params.scale);
    value[KEYS - 1u] = v_row;
  }
  var key_end: array<u32, KEYS>;
  for (var n = 0u; n < KEYS; n++) { key_end[n] = ends[min(first_row + n, params.rows - 1u)]; }

  // A key is seen by its own row and the later ones of its sequence.
  let first = first_of_tiles(min(first_row, params.rows - 1u));
  let last = last_of_tiles(key_end[KEYS - 1u]);
  let group = params.heads / params.kv_heads;
  for (var head = kv_head * group; head < (kv_head + 1u) * group; head++) {
    for (var i = first; i < last; i++) {
      take_q(query_base(i, head));
      take_dout(query_base(i, head));
      let row_lse = saved_lse[i * params.heads + head];
      let row_delta = saved_delta[i * params.heads + head];
      for (var n = 0u; n < KEYS; n++) {
        let j = first_row + n;
        let weight = select(0.0, exp_f32(dot_rows(key[n], q_row) - row_lse), j <= i && i < key_end[n]);
        let ds = weight * (dot_rows(value[n], dout_row) - row_delta) * params.scale;
        d_key[n] = add_scaled(d_key[n], q_row, ds);
        d_value[n] = add_scaled(d_value[n], dout_row, weight);
      }
    }
  }

  for (var i = 0u; i < params.tile; i++) {
    let at = key_base(first_row + i, kv_head);
    for (var j = 0u; j < params.chunks; j++) {
      if (first_row + i < params.rows) {
        for (var p = 0u; p < CHUNK; p++) {
          dk[at + j * CHUNK + p] = d_key[0][0][p];
          dv[at + j * CHUNK + p] = d_value[0][0][p];
        }
      }
      d_key[0] = without_first(d_key[0]);
      d_value[0] = without_first(d_value[0]);
    }
    for (var n = 0u; n < KEYS - 1u; n++) {
      d_key[n] = d_key[n + 1u];
      d_value[n] = d_value[n + 1u];
    }
  }
}
