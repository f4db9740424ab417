enable subgroups;
enable chromium_experimental_subgroup_matrix;

// What the two gradients of attention on subgroup matrices share: operands, their way through workgroup memory, results.
//
// A workgroup has a tile of queries of one head and goes through the keys, or a tile of keys and goes through the queries. Its own
// rows stay in registers as matrices, BLOCK rows to SHARES subgroups; the rows of the other side come through workgroup memory, a
// tile at a time. Each invocation loads its words of the next tile into registers before the matrices of this one are
// multiplied, so that they have that long to arrive.
//
// Matrices have no rows and no elements to a shader, and a result cannot become an operand. Scores therefore go through an
// area of workgroup memory: results in f32, QUERIES x KEYS, which all invocations read, octet by octet, turn into weights and,
// when all have read, write over as components.
//
// The SHARES subgroups of a block divide the other side's rows among them for the scores, and the columns of the head for
// the sums. Subgroups beyond BLOCKS * SHARES only stage and weigh, which makes any subgroup up to the adapter's largest right.
//
// Matrices must be indexed by constants, so loops over them are there to be unrolled. Others are not, for a software adapter takes
// long to compile a hundred products: their bounds are parameters.
//
// From the host come M, N, K; HEAD, the head size with its zeros; SECTIONS, how many of HEAD numbers a row of `queries` has;
// QUERIES and KEYS, a tile's; BLOCK, BLOCKS, SHARES and THREADS.

alias Left = subgroup_matrix_left<component, K, M>;
alias Right = subgroup_matrix_right<component, N, K>;
alias Result = subgroup_matrix_result<f32, N, M>;

struct Params {
  rows: u32,
  heads: u32,
  kv_heads: u32,
  pairs: u32, // half the head size
  scale: f32,
  query_rows: u32, // QUERIES
  key_rows: u32,   // KEYS
  columns: u32,    // HEAD_MATRICES
  steps: u32,      // STEPS
}

@group(0) @binding(0) var<uniform> params: Params;
// As attention-pack.wgsl leaves them: q and dout; k and v; the exponents of q, k and v.
@group(0) @binding(1) var<storage, read> queries: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> keys: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> exponents: array<i32>;
@group(0) @binding(4) var<storage, read> starts: array<u32>;

const STEPS = HEAD / K;
const STEP_WORDS = K / 8u * WORDS;
const SECTION_WORDS = HEAD / 8u * WORDS;
const QUERY_WORDS = SECTIONS * SECTION_WORDS;
const KEY_WORDS = 2u * SECTION_WORDS;
const SUBGROUPS = BLOCKS * SHARES;
const FOUR = vec4(0u, 1u, 2u, 3u);

fn kv_head_of(head: u32) -> u32 { return head / (params.heads / params.kv_heads); }

// Scores are the products of q and k as they are packed times this.
fn score_scale() -> f32 {
  let factors = factors_of_power(exponents[0] + exponents[1]);
  return params.scale * factors.x * factors.y;
}

// ---- areas ---------------------------------------------------------------------------------------------------------------

// 16 bytes more than a row holds keep the rows of a matrix in different banks.
const AREA_STRIDE = KEYS / 4u + 1u;          // of results
const WEIGHT_STRIDE = KEYS / 8u * WORDS + 1u; // of components
const AREA = QUERIES * AREA_STRIDE;
// A column of matrices of every subgroup on its way out.
const OUT_STRIDE = SHARES * N / 4u + 1u;
const OUT = max(QUERIES, KEYS) * OUT_STRIDE;

var<workgroup> areas: array<vec4<u32>, max(2u * AREA, OUT)>;

fn put_result(area: u32, query: u32, key: u32, result: Result) {
  subgroupMatrixStore<row_major>(&areas, area * AREA + query * AREA_STRIDE + key / 4u, result, AREA_STRIDE);
}

// Octets of an area: AREA_SHARE to an invocation, slot by slot.
const AREA_OCTETS = QUERIES * KEYS / 8u;
const AREA_SHARE = (AREA_OCTETS + THREADS - 1u) / THREADS;

fn slot_query(slot: u32) -> u32 { return slot / (KEYS / 8u); }
fn slot_octet(slot: u32) -> u32 { return slot % (KEYS / 8u); }

// Four results, the first or the second half of an octet.
fn results_at(area: u32, slot: u32, half: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(areas[area * AREA + slot_query(slot) * AREA_STRIDE + 2u * slot_octet(slot) + half]);
}

fn put_weights(area: u32, slot: u32, octet: Octet) {
  let at = area * AREA + slot_query(slot) * WEIGHT_STRIDE + slot_octet(slot) * WORDS;
  for (var w = 0u; w < WORDS; w++) { areas[at + w] = octet[w]; }
}

// Which of four keys from `key` on a query sees whose sequence starts at row `start`.
fn visible(query: u32, start: u32, key: u32) -> vec4<bool> {
  let four = vec4(key) + FOUR;
  return (four >= vec4(start)) & (four <= vec4(query));
}

// No key is visible from here on.
const NOWHERE = 0xffffffffu;

// ---- keys that come through workgroup memory -----------------------------------------------------------------------------

const STAGED_KEY = KEY_WORDS + 1u;
const KEY_SHARE = (KEYS * KEY_WORDS + THREADS - 1u) / THREADS;
var<workgroup> staged_keys: array<vec4<u32>, KEYS * STAGED_KEY>;
var<private> next_keys: array<vec4<u32>, KEY_SHARE>;

// Zeros from row `end` on.
fn fetch_keys(first: u32, end: u32, kv_head: u32, lane: u32) {
  for (var i = 0u; i < KEY_SHARE; i++) {
    let word = i * THREADS + lane;
    let row = first + word / KEY_WORDS;
    next_keys[i] = vec4(0u);
    if (word < KEYS * KEY_WORDS && row < end) {
      next_keys[i] = keys[(row * params.kv_heads + kv_head) * KEY_WORDS + word % KEY_WORDS];
    }
  }
}

fn stage_keys(lane: u32) {
  for (var i = 0u; i < KEY_SHARE; i++) {
    let word = i * THREADS + lane;
    if (word < KEYS * KEY_WORDS) { staged_keys[word / KEY_WORDS * STAGED_KEY + word % KEY_WORDS] = next_keys[i]; }
  }
}

// k (section 0) or v (1) of the N keys from `key` on: along the head, to be multiplied with queries.
fn keys_along(section: u32, key: u32, step: u32) -> Right {
  let at = key * STAGED_KEY + section * SECTION_WORDS + step * STEP_WORDS;
  return subgroupMatrixLoad<Right, col_major>(&staged_keys, at, STAGED_KEY);
}

// K keys from `key` on, to be summed: N columns of the head.
fn keys_across(section: u32, key: u32, column: u32) -> Right {
  let at = key * STAGED_KEY + section * SECTION_WORDS + column / 8u * WORDS;
  return subgroupMatrixLoad<Right, row_major>(&staged_keys, at, STAGED_KEY);
}

// ---- own rows ------------------------------------------------------------------------------------------------------------

// A subgroup's part of the sums, BLOCK rows x HEAD / SHARES columns, by row and column of matrices.
const ROW_MATRICES = BLOCK / M;
const COLUMN_MATRICES = BLOCK / N; // of own keys as columns of scores
const HEAD_MATRICES = HEAD / SHARES / N;
alias Sums = array<array<Result, HEAD_MATRICES>, ROW_MATRICES>;

// Its first row and column in the tile.
fn block_row(subgroup: u32) -> u32 { return subgroup / SHARES * BLOCK; }
fn share_column(subgroup: u32) -> u32 { return subgroup % SHARES * (HEAD / SHARES); }

// ---- own queries ---------------------------------------------------------------------------------------------------------

// M queries from row `first` on, a step of a section; sections are counted in steps. Rows beyond the last are there, with any
// content: what is computed from them is not visible and not stored.
fn load_query(first: u32, head: u32, s: u32) -> Left {
  let at = (first * params.heads + head) * QUERY_WORDS + s * STEP_WORDS;
  return subgroupMatrixLoad<Left, row_major>(&queries, at, params.heads * QUERY_WORDS);
}

// N keys from row `first` on as columns, a step of k or, after STEPS of them, of v; the rows as above.
fn load_key(first: u32, kv_head: u32, s: u32) -> Right {
  let at = (first * params.kv_heads + kv_head) * KEY_WORDS + s * STEP_WORDS;
  return subgroupMatrixLoad<Right, col_major>(&keys, at, params.kv_heads * KEY_WORDS);
}

// q k^T for the subgroup's share of the keys, into area 0.
fn put_scores(own: ptr<function, OwnQueries>, subgroup: u32) {
  for (var c = 0u; c < params.key_rows / SHARES; c += N) {
    let key = subgroup % SHARES * (KEYS / SHARES) + c;
    var scores: array<Result, ROW_MATRICES>;
    for (var r = 0u; r < ROW_MATRICES; r++) { scores[r] = Result(0.0); }
    for (var step = 0u; step < steps(); step++) {
      let right = keys_along(0u, key, step);
      for (var r = 0u; r < ROW_MATRICES; r++) {
        scores[r] = subgroupMatrixMultiplyAccumulate(own_query(own, r, step), right, scores[r]);
      }
    }
    for (var r = 0u; r < ROW_MATRICES; r++) { put_result(0u, block_row(subgroup) + r * M, key, scores[r]); }
  }
}

// The weights of an area, M queries x K keys.
fn weights_along(area: u32, query: u32, key: u32) -> Left {
  let at = area * AREA + query * WEIGHT_STRIDE + key / 8u * WORDS;
  return subgroupMatrixLoad<Left, row_major>(&areas, at, WEIGHT_STRIDE);
}

// Adds an area's weights times k (section 0) or v (1).
fn add_weighted_keys(sums: ptr<function, Sums>, area: u32, section: u32, subgroup: u32) {
  for (var key = 0u; key < params.key_rows; key += K) {
    var left: array<Left, ROW_MATRICES>;
    for (var r = 0u; r < ROW_MATRICES; r++) { left[r] = weights_along(area, block_row(subgroup) + r * M, key); }
    for (var c = 0u; c < HEAD_MATRICES; c++) {
      let right = keys_across(section, key, share_column(subgroup) + c * N);
      for (var r = 0u; r < ROW_MATRICES; r++) {
        (*sums)[r][c] = subgroupMatrixMultiplyAccumulate(left[r], right, (*sums)[r][c]);
      }
    }
  }
}

// ---- results -------------------------------------------------------------------------------------------------------------

// Column c of every subgroup's matrices, into the areas from `area` on. Sums are only indexed by what a compiler can unroll.
fn stage_column(sums: ptr<function, Sums>, c: u32, area: u32, subgroup: u32) {
  if (subgroup >= SUBGROUPS) { return; }
  for (var own = 0u; own < HEAD_MATRICES; own++) {
    if (own == c) {
      for (var r = 0u; r < ROW_MATRICES; r++) {
        let at = area * AREA + (block_row(subgroup) + r * M) * OUT_STRIDE + subgroup % SHARES * (N / 4u);
        subgroupMatrixStore<row_major>(&areas, at, (*sums)[r][own], OUT_STRIDE);
      }
    }
  }
}

// Of a row of such a column.
const OUT_QUADS = SHARES * N / 4u;
const OUT_PAIRS = SHARES * N / 2u;

struct Pair {
  row: u32,   // of the tile
  index: u32, // of the head's pairs, with its zeros
  value: vec2<f32>,
}

fn staged_pair(c: u32, slot: u32) -> Pair {
  let row = slot / OUT_PAIRS;
  let column = slot % OUT_PAIRS * 2u;
  let word = bitcast<vec4<f32>>(areas[row * OUT_STRIDE + column / 4u]);
  let head_column = column / N * (HEAD / SHARES) + c * N + column % N;
  return Pair(row, head_column / 2u, select(word.xy, word.zw, column % 4u != 0u));
}
