// The tile of queries that an invocation of attention keeps in registers, and its softmax over blocks of keys, as attention.wgsl
// defines it.
//
// Registers must be indexed by constants, so loops over them are there to be unrolled. Loads are not: a software adapter
// takes seconds to compile a hundred of them. A row is therefore loaded chunk by chunk, in a loop whose bound is a parameter
// and not a constant, each chunk moving the others down by one place; rows fill a tile in the same way.
//
// The file that includes this says what q_pair, k_pair, v_pair and store_pair read and write, and where query_base is. The host
// puts these constants in front: CHUNK and CHUNKS, whose product is half the head size; SHARES; ROWS and HEADS.

const QUERIES = ROWS * HEADS;
const HEAD_PAIRS = CHUNK * CHUNKS;
const OCTETS = (HEAD_PAIRS + 4u * SHARES - 1u) / (4u * SHARES); // of a share
const FOUR = vec4(0u, 1u, 2u, 3u);

alias Chunk = array<vec2<f32>, CHUNK>;
alias Row = array<Chunk, CHUNKS>;
alias Values = Row;

fn key_base(row: u32, kv_head: u32) -> u32 { return (row * params.kv_heads + kv_head) * HEAD_PAIRS; }

// ---- rows in registers ---------------------------------------------------------------------------------------------

// The last row taken from each of q, k and v.
var<private> q_row: Row;
var<private> k_row: Row;
var<private> v_row: Row;

fn load_q(at: u32) {
  for (var i = 0u; i < params.chunks; i++) {
    for (var c = 0u; c < CHUNKS - 1u; c++) { q_row[c] = q_row[c + 1u]; }
    for (var p = 0u; p < CHUNK; p++) { q_row[CHUNKS - 1u][p] = q_pair(at + i * CHUNK + p); }
  }
}

fn load_k(at: u32) {
  for (var i = 0u; i < params.chunks; i++) {
    for (var c = 0u; c < CHUNKS - 1u; c++) { k_row[c] = k_row[c + 1u]; }
    for (var p = 0u; p < CHUNK; p++) { k_row[CHUNKS - 1u][p] = k_pair(at + i * CHUNK + p); }
  }
}

fn load_v(at: u32) {
  for (var i = 0u; i < params.chunks; i++) {
    for (var c = 0u; c < CHUNKS - 1u; c++) { v_row[c] = v_row[c + 1u]; }
    for (var p = 0u; p < CHUNK; p++) { v_row[CHUNKS - 1u][p] = v_pair(at + i * CHUNK + p); }
  }
}

// Octet i of share s is number i * SHARES + s of the row. The sums of shares are joined in halves.
fn dot_rows(a: Row, b: Row) -> f32 {
  var sums: array<f32, SHARES>;
  for (var s = 0u; s < SHARES; s++) {
    var total = vec2(0.0);
    for (var i = 0u; i < 4u * OCTETS; i++) {
      let p = (i / 4u * SHARES + s) * 4u + i % 4u;
      if (p < HEAD_PAIRS) { total = fma(a[p / CHUNK][p % CHUNK], b[p / CHUNK][p % CHUNK], total); }
    }
    sums[s] = total.x + total.y;
  }
  // Loops whose bounds halve would not be unrolled.
  if (SHARES > 8u) { for (var s = 0u; s < 8u; s++) { sums[s] += sums[s + 8u]; } }
  if (SHARES > 4u) { for (var s = 0u; s < 4u; s++) { sums[s] += sums[s + 4u]; } }
  if (SHARES > 2u) { for (var s = 0u; s < 2u; s++) { sums[s] += sums[s + 2u]; } }
  if (SHARES > 1u) { for (var s = 0u; s < 1u; s++) { sums[s] += sums[s + 1u]; } }
  return sums[0];
}

fn scaled(row: Row, factor: f32) -> Row {
  var product: Row;
  for (var c = 0u; c < CHUNKS; c++) {
    for (var p = 0u; p < CHUNK; p++) { product[c][p] = row[c][p] * factor; }
  }
  return product;
}

// sum + factor * row
fn add_scaled(sum: Row, row: Row, factor: f32) -> Row {
  var total: Row;
  for (var c = 0u; c < CHUNKS; c++) {
    for (var p = 0u; p < CHUNK; p++) { total[c][p] = fma(vec2(factor), row[c][p], sum[c][p]); }
  }
  return total;
}

// The row without its first chunk.
fn without_first(row: Row) -> Row {
  var rest = row;
  for (var c = 0u; c < CHUNKS - 1u; c++) { rest[c] = row[c + 1u]; }
  return rest;
}

// ---- the tile of queries -------------------------------------------------------------------------------------------

// Query n of the tile is row first_row + n / HEADS, head first_head + n % HEADS. A tile that reaches over an edge repeats
// the last row or head and does not store it.
var<private> first_row: u32;
var<private> first_head: u32;
var<private> kv_head: u32;
var<private> query: array<Row, QUERIES>;

// The heads of a key head are covered by ceil(group / HEADS) tiles, `tile_head` counts the tiles of all key heads.
fn tiles_per_group() -> u32 { return (params.heads / params.kv_heads + HEADS - 1u) / HEADS; }

fn place_tile(tile_row: u32, tile_head: u32) {
  kv_head = tile_head / tiles_per_group();
  first_row = tile_row * ROWS;
  first_head = kv_head * (params.heads / params.kv_heads) + tile_head % tiles_per_group() * HEADS;
}

fn end_head() -> u32 { return (kv_head + 1u) * (params.heads / params.kv_heads); }
fn row_of(n: u32) -> u32 { return min(first_row + n / HEADS, params.rows - 1u); }
fn head_of(n: u32) -> u32 { return min(first_head + n % HEADS, end_head() - 1u); }
fn is_stored(n: u32) -> bool { return first_row + n / HEADS < params.rows && first_head + n % HEADS < end_head(); }

fn load_queries() {
  for (var i = 0u; i < params.tile; i++) {
    load_q(query_base(row_of(i), head_of(i)));
    for (var n = 0u; n < QUERIES - 1u; n++) { query[n] = query[n + 1u]; }
    query[QUERIES - 1u] = scaled(q_row, params.scale);
  }
}

// ---- softmax -------------------------------------------------------------------------------------------------------

// The scores of a step's keys for each query, then their weights: they come in at the end and go out at the beginning.
var<private> weights: array<Eight, QUERIES>;

fn push_weight(n: u32, last: f32) {
  let w = weights[n];
  weights[n] = Eight(vec4(w[0].yzw, w[1].x), vec4(w[1].yzw, last));
}

// The scores of the next key, which is in k_row.
fn score() {
  for (var n = 0u; n < QUERIES; n++) { push_weight(n, dot_rows(query[n], k_row)); }
}

// From `count` scores to weights: query n sees the first visible[n] of the keys. In several loops, because a compiler does not
// unroll one that holds all exponentials of four queries (Mesa: 832 instructions), and would index registers lane by lane.
fn weigh(count: u32, visible: array<u32, QUERIES>) {
  for (var i = count; i < STEP; i++) {
    for (var n = 0u; n < QUERIES; n++) { push_weight(n, LOWEST); }
  }
  var shrink: array<f32, QUERIES>;
  for (var n = 0u; n < QUERIES; n++) {
    let low = select(vec4(LOWEST), weights[n][0], FOUR < vec4(visible[n]));
    let high = select(vec4(LOWEST), weights[n][1], FOUR + 4u < vec4(visible[n]));
    let four = max(low, high);
    let now = max(max(max(four.x, four.y), max(four.z, four.w)), largest[n]);
    shrink[n] = exp_f32(largest[n] - now);
    largest[n] = now;
    weights[n] = Eight(low - now, high - now);
  }
  for (var n = 0u; n < QUERIES; n++) {
    weights[n][0] = select(vec4(0.0), exp_vec4(weights[n][0]), FOUR < vec4(visible[n]));
  }
  for (var n = 0u; n < QUERIES; n++) {
    weights[n][1] = select(vec4(0.0), exp_vec4(weights[n][1]), FOUR + 4u < vec4(visible[n]));
  }
  for (var n = 0u; n < QUERIES; n++) {
    sum[n] = fma(sum[n], shrink[n], sum_of(weights[n]));
    sum_values[n] = scaled(sum_values[n], shrink[n]);
  }
}

// Adds the value of the next key, which is in v_row.
fn add_value() {
  for (var n = 0u; n < QUERIES; n++) {
    sum_values[n] = add_scaled(sum_values[n], v_row, weights[n][0].x);
    push_weight(n, 0.0);
  }
}

fn store_out() {
  for (var i = 0u; i < params.tile; i++) {
    let at = query_base(row_of(i), head_of(i));
    for (var j = 0u; j < params.chunks; j++) {
      if (is_stored(i)) {
        for (var p = 0u; p < CHUNK; p++) { store_pair(at + j * CHUNK + p, all_values[0][0][p] / all_sum[0]); }
      }
      all_values[0] = without_first(all_values[0]);
    }
    for (var n = 0u; n < QUERIES - 1u; n++) {
      all_values[n] = all_values[n + 1u];
      all_sum[n] = all_sum[n + 1u];
    }
  }
}
