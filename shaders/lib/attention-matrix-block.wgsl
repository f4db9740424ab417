enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, subgroup_uniformity);

// A block of keys (attention.wgsl) on subgroup matrices, for keys and values stored in bf16: what training, prefill and decoding compute
// alike, to the bit, however many queries they have at a time.
//
// Definition. Of a block and a query that sees some of its keys, where a row's scale is the power of two that brings its
// largest number below 2^15 (lib/matrix-scale.wgsl) and a component is what the matrices multiply, f16 or f32:
//
//   score   q_i and k_j are scaled, each by its own, and rounded to components, which leaves k_j as it is; their product is
//           summed in f32 by matrices, K numbers of the head at a time, and scaled back: s = sum (scale 2^e_qi) 2^e_kj.
//   block   m is the largest score, p = exp(s - m). l sums p in f32: the eight of an octet of keys as a balanced tree, octets n
//           and n + 8, then halves of the eight sums. v_j is scaled by its own power and a component; p 2^(e_vj - E), E
//           the largest e_vj of the keys that the query sees here, times 2^WEIGHT_TOP is rounded to one. Their product is
//           summed by matrices, K keys at a time, which begins with 0 in every block, and scaled back.
//   merge   as without matrices, in f32.
//
// A key that a query does not see adds 0 to its sums, and a row of a matrix does not depend on the others: hence the same bits. It
// must be finite, though: 0 times infinity is not 0. f16 keeps all 11 bits of numbers down to 2^-28 of a row's largest.
//
// Parallelisation. A workgroup has QUERIES queries of a key head, its heads row by row: STRIPS strips, each multiplied by SHARES
// subgroups, which divide the keys among them for the scores and the columns of the head for the values. Keys, then values, come through
// workgroup memory, KEYS at a time, a row to LANES neighbouring invocations, which load the next ones before they multiply
// these. The scores of the whole block stay in workgroup memory. Matrices have no rows and no elements to a shader: LANES invocations
// weigh a row's scores there, write the weights over them, find the block's sum in the same place and keep the sum over
// all blocks. Subgroups beyond STRIPS * SHARES only load and weigh, which makes any subgroup up to the adapter's largest right.
//
// Matrices must be indexed by constants, so loops over them are there to be unrolled. Others have parameters for bounds, for a
// software adapter takes long to compile a hundred products.
//
// The host puts in front M, N, K; HEAD_PAIRS, half the head size; HEAD, the head size with its zeros; STRIP, rows of a strip; STRIPS,
// SHARES, KEYS and THREADS; WEIGHT_TOP. What includes this has key_row, where a key of the sequence at hand is.

alias Left = subgroup_matrix_left<component, K, M>;
alias Right = subgroup_matrix_right<component, N, K>;
alias Result = subgroup_matrix_result<f32, N, M>;

struct Params {
  rows: u32,
  heads: u32,
  kv_heads: u32,
  scale: f32,
  share_keys: u32,  // KEYS / SHARES
  max_blocks: u32,
  first_block: u32, // of this layer in the cache
  blocks: u32,      // of keys, for which there is room in `partial_values`
  first_row: u32,   // that `partial_values` begins with
  value_quads: u32, // of a row in `partial_values`
  tile_keys: u32,   // KEYS
}

@group(0) @binding(0) var<uniform> params: Params;

const QUERIES = STRIPS * STRIP;
const SUBGROUPS = STRIPS * SHARES;
const STEPS = HEAD / K;
const STEP_WORDS = K / 8u * WORDS;
const STRIP_MATRICES = STRIP / M;
const HEAD_MATRICES = HEAD / SHARES / N;

const LANES = 8u;
const GROUPS = THREADS / LANES;
const HEAD_OCTETS = HEAD / 8u;
const OCTETS = (HEAD_OCTETS + LANES - 1u) / LANES; // of a row, to a lane
const PASSES = (QUERIES + GROUPS - 1u) / GROUPS;
const KEY_PASSES = (KEYS + GROUPS - 1u) / GROUPS;
const FOUR = vec4(0u, 1u, 2u, 3u);

// 16 bytes more than a row holds keep the rows of a matrix in different banks.
const SCORE_STRIDE = BLOCK / 4u + 1u;
const WEIGHT_STRIDE = BLOCK / 8u * WORDS + 1u;
const HEAD_STRIDE = HEAD_OCTETS * WORDS + 1u;
const SUM_STRIDE = HEAD / 4u + 1u;

// Of the queries: themselves, then scores, weights and sums.
var<workgroup> area: array<vec4<u32>, QUERIES * max(max(SCORE_STRIDE, WEIGHT_STRIDE), max(HEAD_STRIDE, SUM_STRIDE))>;
// Keys or values.
var<workgroup> staged: array<vec4<u32>, KEYS * HEAD_STRIDE>;
// Of the block's keys, 2^exponent; and of its values.
var<workgroup> key_scales: array<f32, BLOCK>;
var<workgroup> value_exponents: array<i32, BLOCK>;

alias Own = array<array<Left, STEPS>, STRIP_MATRICES>;
alias Words = array<vec4<u32>, OCTETS>;
alias Share = array<Eight, OCTETS>;

var<private> kv_head: u32;
var<private> lane: u32;
var<private> group: u32;
var<private> next_keys: array<Words, KEY_PASSES>;
var<private> next_values: array<Words, KEY_PASSES>;

// Queries of a key head are counted row by row. The tile's: from `first_query` on, up to `end_query`.
var<private> first_query: u32;
var<private> end_query: u32;
// Of the rows that an invocation weighs: keys of the sequence at hand that it sees, what scores are scaled by,
var<private> limit: array<u32, PASSES>;
var<private> query_scale: array<f32, PASSES>;
// the block's softmax and values.
var<private> largest: array<f32, PASSES>;
var<private> sum: array<f32, PASSES>;
var<private> sum_values: array<Share, PASSES>;

fn group_size() -> u32 { return params.heads / params.kv_heads; }
fn octet_of(i: u32) -> u32 { return i * LANES + lane; }
fn tile_row(p: u32) -> u32 { return p * GROUPS + group; }
fn query_at(p: u32) -> u32 { return min(first_query + tile_row(p), end_query - 1u); }
fn row_of(p: u32) -> u32 { return query_at(p) / group_size(); }
fn query_row(p: u32) -> u32 { return row_of(p) * params.heads + kv_head * group_size() + query_at(p) % group_size(); }
fn is_stored(p: u32) -> bool { return tile_row(p) < QUERIES && first_query + tile_row(p) < end_query; }

fn enter(invocation: u32) {
  lane = invocation % LANES;
  group = invocation / LANES;
}

fn largest_of_lanes(own: u32) -> u32 {
  var top = max(own, subgroupShuffleXor(own, 1u));
  top = max(top, subgroupShuffleXor(top, 2u));
  return max(top, subgroupShuffleXor(top, 4u));
}

fn magnitude_of(four: vec4<f32>) -> u32 {
  let m = bitcast<vec4<u32>>(four) & vec4(0x7fffffffu);
  return max(max(m.x, m.y), max(m.z, m.w));
}

// ---- queries -------------------------------------------------------------------------------------------------------------

// Every one of the tile, to the subgroups that multiply it.
fn load_queries(own: ptr<function, Own>, subgroup: u32) {
  for (var p = 0u; p < PASSES; p++) {
    var share: Share;
    var top = 0u;
    for (var i = 0u; i < OCTETS; i++) {
      share[i] = q_eight(query_row(p), octet_of(i));
      top = max(top, max(magnitude_of(share[i][0]), magnitude_of(share[i][1])));
    }
    let exponent = exponent_of(largest_of_lanes(top));
    let factor = power_of_two(-exponent);
    query_scale[p] = params.scale * power_of_two(exponent);
    if (tile_row(p) >= QUERIES) { continue; }
    for (var i = 0u; i < OCTETS; i++) {
      if (octet_of(i) >= HEAD_OCTETS) { continue; }
      let octet = to_octet(share[i][0] * factor, share[i][1] * factor);
      for (var w = 0u; w < WORDS; w++) { area[tile_row(p) * HEAD_STRIDE + octet_of(i) * WORDS + w] = octet[w]; }
    }
  }
  workgroupBarrier();
  if (subgroup < SUBGROUPS) {
    for (var r = 0u; r < STRIP_MATRICES; r++) {
      for (var step = 0u; step < STEPS; step++) {
        let at = (subgroup / SHARES * STRIP + r * M) * HEAD_STRIDE + step * STEP_WORDS;
        (*own)[r][step] = subgroupMatrixLoad<Left, row_major>(&area, at, HEAD_STRIDE);
      }
    }
  }
  workgroupBarrier();
}

// ---- keys and values -----------------------------------------------------------------------------------------------------

// A lane's octets of KEYS keys from key `first` of the sequence on; those from `end` on repeat the last.
fn fetch_keys(first: u32, end: u32) {
  for (var w = 0u; w < KEY_PASSES; w++) {
    let row = key_row(min(first + w * GROUPS + group, end - 1u));
    for (var i = 0u; i < OCTETS; i++) { next_keys[w][i] = k_word(row, octet_of(i)); }
  }
}

fn fetch_values(first: u32, end: u32) {
  for (var w = 0u; w < KEY_PASSES; w++) {
    let row = key_row(min(first + w * GROUPS + group, end - 1u));
    for (var i = 0u; i < OCTETS; i++) { next_values[w][i] = v_word(row, octet_of(i)); }
  }
}

fn even_of(word: vec4<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(word << vec4(16u)); }
fn odd_of(word: vec4<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(word & vec4(0xffff0000u)); }

// Of a row, the same in all its lanes.
fn exponent_of_row(words: Words) -> i32 {
  var top = 0u;
  for (var i = 0u; i < OCTETS; i++) { top = max(top, max(magnitude_of(even_of(words[i])), magnitude_of(odd_of(words[i])))); }
  return exponent_of(largest_of_lanes(top));
}

fn stage_row(row: u32, words: Words, exponent: i32) {
  let factor = power_of_two(-exponent);
  for (var i = 0u; i < OCTETS; i++) {
    if (octet_of(i) >= HEAD_OCTETS) { continue; }
    let even = even_of(words[i]) * factor;
    let odd = odd_of(words[i]) * factor;
    let octet = to_octet(vec4(even.x, odd.x, even.y, odd.y), vec4(even.z, odd.z, even.w, odd.w));
    for (var w = 0u; w < WORDS; w++) { staged[row * HEAD_STRIDE + octet_of(i) * WORDS + w] = octet[w]; }
  }
}

// The keys that were fetched, from key `first` of the block on, and what scales the values of the same.
fn stage_keys(first: u32) {
  for (var w = 0u; w < KEY_PASSES; w++) {
    let row = w * GROUPS + group;
    let key_exponent = exponent_of_row(next_keys[w]);
    let value_exponent = exponent_of_row(next_values[w]);
    if (row >= KEYS) { continue; }
    stage_row(row, next_keys[w], key_exponent);
    if (lane == 0u) {
      key_scales[first + row] = power_of_two(key_exponent);
      value_exponents[first + row] = value_exponent;
    }
  }
}

fn stage_values(first: u32) {
  for (var w = 0u; w < KEY_PASSES; w++) {
    let row = w * GROUPS + group;
    if (row < KEYS) { stage_row(row, next_values[w], value_exponents[first + row]); }
  }
}

// ---- a block -------------------------------------------------------------------------------------------------------------

// Of the staged keys, which are those from key `first` of the block on.
fn put_scores(own: ptr<function, Own>, first: u32, subgroup: u32) {
  for (var c = 0u; c < params.share_keys; c += N) {
    let key = subgroup % SHARES * (KEYS / SHARES) + c;
    var scores: array<Result, STRIP_MATRICES>;
    for (var r = 0u; r < STRIP_MATRICES; r++) { scores[r] = Result(0.0); }
    for (var step = 0u; step < STEPS; step++) {
      let right = subgroupMatrixLoad<Right, col_major>(&staged, key * HEAD_STRIDE + step * STEP_WORDS, HEAD_STRIDE);
      for (var r = 0u; r < STRIP_MATRICES; r++) {
        scores[r] = subgroupMatrixMultiplyAccumulate((*own)[r][step], right, scores[r]);
      }
    }
    for (var r = 0u; r < STRIP_MATRICES; r++) {
      let at = (subgroup / SHARES * STRIP + r * M) * SCORE_STRIDE + (first + key) / 4u;
      subgroupMatrixStore<row_major>(&area, at, scores[r], SCORE_STRIDE);
    }
  }
}

// A lane's octets of a row's keys: two, `lane` and `lane` + 8 of the block.
alias Held = array<Eight, 2>;

fn scores_of(p: u32, begin: u32) -> Held {
  var held: Held;
  for (var o = 0u; o < 2u; o++) {
    for (var h = 0u; h < 2u; h++) {
      let key = 8u * octet_of(o) + 4u * h;
      let product = bitcast<vec4<f32>>(area[min(tile_row(p), QUERIES - 1u) * SCORE_STRIDE + key / 4u]);
      let scales = vec4(key_scales[key], key_scales[key + 1u], key_scales[key + 2u], key_scales[key + 3u]);
      held[o][h] = select(vec4(LOWEST), product * query_scale[p] * scales, vec4(begin + key) + FOUR < vec4(limit[p]));
    }
  }
  return held;
}

fn exponents_at(key: u32) -> vec4<i32> {
  return vec4(value_exponents[key], value_exponents[key + 1u], value_exponents[key + 2u], value_exponents[key + 3u]);
}

const LEAST_EXPONENT = -100; // of a row

// The largest exponent of the values that a row sees.
fn exponent_of_values(p: u32, begin: u32) -> i32 {
  var top = vec4(LEAST_EXPONENT);
  for (var o = 0u; o < 2u; o++) {
    for (var h = 0u; h < 2u; h++) {
      let key = 8u * octet_of(o) + 4u * h;
      top = max(top, select(vec4(LEAST_EXPONENT), exponents_at(key), vec4(begin + key) + FOUR < vec4(limit[p])));
    }
  }
  let own = u32(max(max(top.x, top.y), max(top.z, top.w)) - LEAST_EXPONENT);
  return i32(largest_of_lanes(own)) + LEAST_EXPONENT;
}

// From scores to softmax and weights, which take the scores' place. Returns by what the values' sums are to be multiplied.
fn weigh(begin: u32) -> array<f32, PASSES> {
  var held: array<Held, PASSES>;
  var sum_scale: array<f32, PASSES>;
  for (var p = 0u; p < PASSES; p++) {
    held[p] = scores_of(p, begin);
    var four = max(max(held[p][0][0], held[p][0][1]), max(held[p][1][0], held[p][1][1]));
    var top = max(max(four.x, four.y), max(four.z, four.w));
    top = max(top, subgroupShuffleXor(top, 1u));
    top = max(top, subgroupShuffleXor(top, 2u));
    top = max(top, subgroupShuffleXor(top, 4u));
    largest[p] = top;
    let exponent = exponent_of_values(p, begin);
    sum_scale[p] = power_of_two(exponent - WEIGHT_TOP);
    var octet_sums: array<f32, 2>;
    for (var o = 0u; o < 2u; o++) {
      for (var h = 0u; h < 2u; h++) {
        let key = 8u * octet_of(o) + 4u * h;
        let is_seen = vec4(begin + key) + FOUR < vec4(limit[p]);
        held[p][o][h] = select(vec4(0.0), exp_vec4(held[p][o][h] - top), is_seen);
      }
      octet_sums[o] = sum_of(held[p][o]);
      for (var h = 0u; h < 2u; h++) {
        let lacking = max(exponents_at(8u * octet_of(o) + 4u * h) - exponent, vec4(-126 - WEIGHT_TOP)) + WEIGHT_TOP;
        held[p][o][h] *= select(vec4(0.0), bitcast<vec4<f32>>(vec4<u32>(lacking + 127) << vec4(23u)), lacking <= vec4(WEIGHT_TOP));
      }
    }
    var total = octet_sums[0] + octet_sums[1];
    total += subgroupShuffleXor(total, 4u);
    total += subgroupShuffleXor(total, 2u);
    sum[p] = total + subgroupShuffleXor(total, 1u);
  }
  workgroupBarrier();
  for (var p = 0u; p < PASSES; p++) {
    if (tile_row(p) >= QUERIES) { continue; }
    for (var o = 0u; o < 2u; o++) {
      let octet = to_octet(held[p][o][0], held[p][o][1]);
      for (var w = 0u; w < WORDS; w++) { area[tile_row(p) * WEIGHT_STRIDE + octet_of(o) * WORDS + w] = octet[w]; }
    }
  }
  return sum_scale;
}

alias Sums = array<array<Result, HEAD_MATRICES>, STRIP_MATRICES>;

// The weights of the staged keys, from key `first` of the block on, times their values.
fn add_values(sums: ptr<function, Sums>, first: u32, subgroup: u32) {
  for (var key = 0u; key < params.tile_keys; key += K) {
    var left: array<Left, STRIP_MATRICES>;
    for (var r = 0u; r < STRIP_MATRICES; r++) {
      let at = (subgroup / SHARES * STRIP + r * M) * WEIGHT_STRIDE + (first + key) / 8u * WORDS;
      left[r] = subgroupMatrixLoad<Left, row_major>(&area, at, WEIGHT_STRIDE);
    }
    for (var c = 0u; c < HEAD_MATRICES; c++) {
      let column = subgroup % SHARES * (HEAD / SHARES) + c * N;
      let right = subgroupMatrixLoad<Right, row_major>(&staged, key * HEAD_STRIDE + column / 8u * WORDS, HEAD_STRIDE);
      for (var r = 0u; r < STRIP_MATRICES; r++) {
        (*sums)[r][c] = subgroupMatrixMultiplyAccumulate(left[r], right, (*sums)[r][c]);
      }
    }
  }
}

fn put_sums(sums: ptr<function, Sums>, subgroup: u32) {
  for (var r = 0u; r < STRIP_MATRICES; r++) {
    for (var c = 0u; c < HEAD_MATRICES; c++) {
      let column = subgroup % SHARES * (HEAD / SHARES) + c * N;
      let at = (subgroup / SHARES * STRIP + r * M) * SUM_STRIDE + column / 4u;
      subgroupMatrixStore<row_major>(&area, at, (*sums)[r][c], SUM_STRIDE);
    }
  }
}

// Softmax and values of the keys from `begin` to `end` of the sequence, which are a block's.
fn take_block(own: ptr<function, Own>, begin: u32, end: u32, subgroup: u32) {
  fetch_keys(begin, end);
  fetch_values(begin, end);
  for (var key = begin; key < end; key += KEYS) {
    stage_keys(key - begin);
    workgroupBarrier();
    if (key + KEYS < end) {
      fetch_keys(key + KEYS, end);
      fetch_values(key + KEYS, end);
    }
    if (subgroup < SUBGROUPS) { put_scores(own, key - begin, subgroup); }
    workgroupBarrier();
  }
  if (KEYS < BLOCK) { fetch_values(begin, end); }
  let sum_scale = weigh(begin);
  var sums: Sums;
  for (var key = begin; key < end; key += KEYS) {
    stage_values(key - begin);
    workgroupBarrier();
    if (key + KEYS < end) { fetch_values(key + KEYS, end); }
    if (subgroup < SUBGROUPS) { add_values(&sums, key - begin, subgroup); }
    workgroupBarrier();
  }
  if (subgroup < SUBGROUPS) { put_sums(&sums, subgroup); }
  workgroupBarrier();
  for (var p = 0u; p < PASSES; p++) {
    for (var i = 0u; i < OCTETS; i++) {
      let at = min(tile_row(p), QUERIES - 1u) * SUM_STRIDE + 2u * min(octet_of(i), HEAD_OCTETS - 1u);
      for (var h = 0u; h < 2u; h++) { sum_values[p][i][h] = bitcast<vec4<f32>>(area[at + h]) * sum_scale[p]; }
    }
  }
  workgroupBarrier();
}
