// Gradients of attention on subgroup matrices, for keys and values stored in bf16: what attention_dq and attention_dkv of
// attention.wgsl compute, with operands rounded to the matrices' components (f16, or f32 and then not rounded) and sums in f32.
//
//   attention_dq    dq       overwritten: sum_j ds_ij k_j,  ds_ij = scale p_ij (dp_ij - delta_i),  dp_ij = dout_i . v_j
//   attention_dkv   dk, dv   overwritten: sum_i ds_ij q_i and sum_i p_ij dout_i over the later rows of the sequence
//
// with p_ij = exp(s_ij - lse_i) computed anew from the saved lse.
//
// Parallelisation: as lib/attention-matrix.wgsl says. attention_dq has a workgroup for a tile of queries of one head, the
// ones with most keys first; attention_dkv one for a tile of keys of one key head, which goes through all heads of its
// group. Every sum runs in a fixed order.
//
// Numbers. q, dout, p and ds are rounded to f16. For scores that is what the forward pass does with q, so that they are those that lse
// belongs to: an error in s would be a relative one in p. All are scaled by powers of two (attention-pack.wgsl), so that nothing
// overflows, however large, and small gradients keep their bits, however small:
//
//   p    is at most 1; it is scaled to 2^WEIGHT_TOP.
//   ds   dp' = dout' . v' is at most 2^30 HEAD with packed operands, of which all are below 2^15, and so is delta', a mean of dp';
//        their difference times 2^-GRADIENT_EXPONENT is at most 2^15.
//   e    where a sum runs over queries, dout_i = dout'_i 2^e_i must have one exponent: the largest of the sequence's rows that the
//        tile of keys meets. What a row lacks is taken out of its p and of its ds, which is a product with dout_i.
//
// The constants in capitals come from the host and from lib/attention-matrix.wgsl.

@group(0) @binding(5) var<storage, read> ends: array<u32>;
@group(0) @binding(6) var<storage, read> records: array<vec4<u32>>; // by row and head: lse, delta', e and start of the sequence
@group(0) @binding(7) var<storage, read_write> dq: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> dk: array<vec2<f32>>;
@group(0) @binding(9) var<storage, read_write> dv: array<vec2<f32>>;

const DOUT = 1u; // its section, after q

struct QueryRecord {
  lse: f32,
  delta: f32,
  exponent: i32,
  start: u32,
}

fn query_record(query: u32, head: u32) -> QueryRecord {
  let record = records[min(query, params.rows - 1u) * params.heads + head];
  let start = select(NOWHERE, record.w, query < params.rows);
  return QueryRecord(bitcast<f32>(record.x), bitcast<f32>(record.y), bitcast<i32>(record.z), start);
}

// p of four results, from area 0.
fn weights_of(slot: u32, half: u32, record: QueryRecord, query: u32, first_key: u32, scale: f32) -> vec4<f32> {
  let key = first_key + 8u * slot_octet(slot) + 4u * half;
  let p = exp_vec4(fma(results_at(0u, slot, half), vec4(scale), vec4(-record.lse)));
  return select(vec4(0.0), p, visible(query, record.start, key));
}

// dp' - delta', from area 1, so that p times this fits a component.
fn slopes_of(slot: u32, half: u32, record: QueryRecord) -> vec4<f32> {
  return (results_at(1u, slot, half) - record.delta) * power_of_two(-GRADIENT_EXPONENT);
}

// Not visible is 0 whatever the other factor.
fn product(p: vec4<f32>, slope: vec4<f32>) -> vec4<f32> {
  return select(p * slope, vec4(0.0), p == vec4(0.0));
}

var<private> held_p: array<Octet, AREA_SHARE>;
var<private> held_ds: array<Octet, AREA_SHARE>;

// ---- dq ------------------------------------------------------------------------------------------------------------------

// dout v^T for the subgroup's share of the keys, into area 1.
fn put_slopes(own: ptr<function, OwnQueries>, subgroup: u32) {
  for (var c = 0u; c < params.key_rows / SHARES; c += N) {
    let key = subgroup % SHARES * (KEYS / SHARES) + c;
    var products: array<Result, ROW_MATRICES>;
    for (var r = 0u; r < ROW_MATRICES; r++) { products[r] = Result(0.0); }
    for (var step = 0u; step < steps(); step++) {
      let right = keys_along(1u, key, step);
      for (var r = 0u; r < ROW_MATRICES; r++) {
        products[r] = subgroupMatrixMultiplyAccumulate(own_query(own, r, DOUT * STEPS + step), right, products[r]);
      }
    }
    for (var r = 0u; r < ROW_MATRICES; r++) { put_result(1u, block_row(subgroup) + r * M, key, products[r]); }
  }
}

// From the results in both areas to ds in area 1.
fn weigh_keys(first: u32, head: u32, first_key: u32, lane: u32) {
  let scale = score_scale();
  for (var i = 0u; i < AREA_SHARE; i++) {
    let slot = i * THREADS + lane;
    if (slot >= AREA_OCTETS) { break; }
    let query = first + slot_query(slot);
    let record = query_record(query, head);
    let low = product(weights_of(slot, 0u, record, query, first_key, scale), slopes_of(slot, 0u, record));
    let high = product(weights_of(slot, 1u, record, query, first_key, scale), slopes_of(slot, 1u, record));
    held_ds[i] = to_octet(low, high);
  }
  workgroupBarrier();
  for (var i = 0u; i < AREA_SHARE; i++) {
    let slot = i * THREADS + lane;
    if (slot >= AREA_OCTETS) { break; }
    put_weights(1u, slot, held_ds[i]);
  }
}

@compute @workgroup_size(THREADS)
fn attention_dq(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let first = (groups.x - 1u - wid.x) * QUERIES;
  let head = wid.y;
  let kv_head = kv_head_of(head);
  var own: OwnQueries;
  var sums: Sums;
  if (subgroup < SUBGROUPS) { own = own_queries(first + block_row(subgroup), head); }
  // The tile's rows are of one sequence or of several, which follow each other.
  let end = min(first + QUERIES, params.rows);
  let start = starts[first];
  fetch_keys(start, end, kv_head, lane);
  for (var key = start; key < end; key += KEYS) {
    stage_keys(lane);
    workgroupBarrier();
    fetch_keys(key + KEYS, end, kv_head, lane);
    if (subgroup < SUBGROUPS) {
      put_scores(&own, subgroup);
      put_slopes(&own, subgroup);
    }
    workgroupBarrier();
    weigh_keys(first, head, key, lane);
    workgroupBarrier();
    if (subgroup < SUBGROUPS) { add_weighted_keys(&sums, 1u, 0u, subgroup); }
    workgroupBarrier();
  }

  for (var c = 0u; c < params.columns; c++) {
    stage_column(&sums, c, 0u, subgroup);
    workgroupBarrier();
    for (var slot = lane; slot < QUERIES * OUT_PAIRS; slot += THREADS) {
      let pair = staged_pair(c, slot);
      let row = first + pair.row;
      if (row < params.rows && pair.index < params.pairs) {
        let exponent = query_record(row, head).exponent + exponents[1] + exponents[2] + GRADIENT_EXPONENT;
        let factors = factors_of_power(exponent);
        dq[(row * params.heads + head) * params.pairs + pair.index] = pair.value * params.scale * factors.x * factors.y;
      }
    }
    workgroupBarrier();
  }
}

// ---- dk and dv -----------------------------------------------------------------------------------------------------------

// Queries come through workgroup memory, with their dout.
const STAGED_QUERY = QUERY_WORDS + 1u;
const QUERY_SHARE = (QUERIES * QUERY_WORDS + THREADS - 1u) / THREADS;
var<workgroup> staged_queries: array<vec4<u32>, QUERIES * STAGED_QUERY>;
var<private> next_queries: array<vec4<u32>, QUERY_SHARE>;

// Zeros from row `end` on.
fn fetch_queries(first: u32, end: u32, head: u32, lane: u32) {
  for (var i = 0u; i < QUERY_SHARE; i++) {
    let word = i * THREADS + lane;
    let row = first + word / QUERY_WORDS;
    next_queries[i] = vec4(0u);
    if (word < QUERIES * QUERY_WORDS && row < end) {
      next_queries[i] = queries[(row * params.heads + head) * QUERY_WORDS + word % QUERY_WORDS];
    }
  }
}

fn stage_queries(lane: u32) {
  for (var i = 0u; i < QUERY_SHARE; i++) {
    let word = i * THREADS + lane;
    if (word < QUERIES * QUERY_WORDS) {
      staged_queries[word / QUERY_WORDS * STAGED_QUERY + word % QUERY_WORDS] = next_queries[i];
    }
  }
}

// A section of the M queries from `query` on: along the head, to be multiplied with keys.
fn queries_along(section: u32, query: u32, step: u32) -> Left {
  let at = query * STAGED_QUERY + section * SECTION_WORDS + step * STEP_WORDS;
  return subgroupMatrixLoad<Left, row_major>(&staged_queries, at, STAGED_QUERY);
}

// A section of K queries from `query` on, to be summed: N columns of the head.
fn queries_across(section: u32, query: u32, column: u32) -> Right {
  let at = query * STAGED_QUERY + section * SECTION_WORDS + column / 8u * WORDS;
  return subgroupMatrixLoad<Right, row_major>(&staged_queries, at, STAGED_QUERY);
}

// The weights of an area, turned: M keys x K queries.
fn weights_across(area: u32, key: u32, query: u32) -> Left {
  let at = area * AREA + query * WEIGHT_STRIDE + key / 8u * WORDS;
  return subgroupMatrixLoad<Left, col_major>(&areas, at, WEIGHT_STRIDE);
}

// q k^T and dout v^T for the subgroup's share of the queries, into areas 0 and 1.
fn put_scores_and_slopes(own: ptr<function, OwnKeys>, subgroup: u32) {
  for (var r = 0u; r < params.query_rows / SHARES; r += M) {
    let query = subgroup % SHARES * (QUERIES / SHARES) + r;
    var scores: array<Result, COLUMN_MATRICES>;
    for (var c = 0u; c < COLUMN_MATRICES; c++) { scores[c] = Result(0.0); }
    for (var step = 0u; step < steps(); step++) {
      let left = queries_along(0u, query, step);
      for (var c = 0u; c < COLUMN_MATRICES; c++) {
        scores[c] = subgroupMatrixMultiplyAccumulate(left, own_key(own, c, step), scores[c]);
      }
    }
    for (var c = 0u; c < COLUMN_MATRICES; c++) { put_result(0u, query, block_row(subgroup) + c * N, scores[c]); }
    var slopes: array<Result, COLUMN_MATRICES>;
    for (var c = 0u; c < COLUMN_MATRICES; c++) { slopes[c] = Result(0.0); }
    for (var step = 0u; step < steps(); step++) {
      let left = queries_along(DOUT, query, step);
      for (var c = 0u; c < COLUMN_MATRICES; c++) {
        slopes[c] = subgroupMatrixMultiplyAccumulate(left, own_key(own, c, STEPS + step), slopes[c]);
      }
    }
    for (var c = 0u; c < COLUMN_MATRICES; c++) { put_result(1u, query, block_row(subgroup) + c * N, slopes[c]); }
  }
}

// Adds an area's weights, turned, times a section of the queries.
fn add_weighted_queries(sums: ptr<function, Sums>, area: u32, section: u32, subgroup: u32) {
  for (var query = 0u; query < params.query_rows; query += K) {
    var left: array<Left, ROW_MATRICES>;
    for (var r = 0u; r < ROW_MATRICES; r++) { left[r] = weights_across(area, block_row(subgroup) + r * M, query); }
    for (var c = 0u; c < HEAD_MATRICES; c++) {
      let right = queries_across(section, query, share_column(subgroup) + c * N);
      for (var r = 0u; r < ROW_MATRICES; r++) {
        (*sums)[r][c] = subgroupMatrixMultiplyAccumulate(left[r], right, (*sums)[r][c]);
      }
    }
  }
}

// From the results in both areas to p in area 0 and ds in area 1, with the same exponent of dout in all rows of a sequence.
fn weigh_queries(first: u32, head: u32, first_key: u32, lane: u32) {
  let scale = score_scale();
  for (var i = 0u; i < AREA_SHARE; i++) {
    let slot = i * THREADS + lane;
    if (slot >= AREA_OCTETS) { break; }
    let query = first + slot_query(slot);
    let record = query_record(query, head);
    let lacking = power_of_two(clamp(record.exponent - exponent_of_sequence(record.start, first_key), -126, 0));
    let low = weights_of(slot, 0u, record, query, first_key, scale) * lacking;
    let high = weights_of(slot, 1u, record, query, first_key, scale) * lacking;
    held_p[i] = to_octet(low * power_of_two(WEIGHT_TOP), high * power_of_two(WEIGHT_TOP));
    held_ds[i] = to_octet(product(low, slopes_of(slot, 0u, record)), product(high, slopes_of(slot, 1u, record)));
  }
  workgroupBarrier();
  for (var i = 0u; i < AREA_SHARE; i++) {
    let slot = i * THREADS + lane;
    if (slot >= AREA_OCTETS) { break; }
    put_weights(0u, slot, held_p[i]);
    put_weights(1u, slot, held_ds[i]);
  }
}

// The largest exponent of dout, for all heads of a key head, in each of the sequences that the tile of keys has a part of:
// at the sequence's first key in the tile.
var<workgroup> sequence_exponent: array<atomic<i32>, KEYS>;

fn place_of_sequence(start: u32, first: u32) -> u32 { return max(start, first) - first; }

fn find_exponents(first: u32, end: u32, kv_head: u32, lane: u32) {
  for (var i = lane; i < KEYS; i += THREADS) { atomicStore(&sequence_exponent[i], -128); }
  workgroupBarrier();
  let group = params.heads / params.kv_heads;
  var place = 0u;
  var largest = -128;
  for (var i = lane; i < (end - first) * group; i += THREADS) {
    let record = query_record(first + i / group, kv_head * group + i % group);
    let next_place = place_of_sequence(record.start, first);
    if (next_place != place) {
      atomicMax(&sequence_exponent[place], largest); // integers, whose order does not matter
      largest = -128;
    }
    place = next_place;
    largest = max(largest, record.exponent);
  }
  atomicMax(&sequence_exponent[place], largest);
  workgroupBarrier();
}

fn exponent_of_sequence(start: u32, first: u32) -> i32 {
  return atomicLoad(&sequence_exponent[min(place_of_sequence(start, first), KEYS - 1u)]);
}

@compute @workgroup_size(THREADS)
fn attention_dkv(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let first = wid.x * KEYS;
  let kv_head = wid.y;
  // A key is seen by its own row and the later ones of its sequence.
  let end = ends[min(first + KEYS, params.rows) - 1u];
  find_exponents(first, end, kv_head, lane);
  var own: OwnKeys;
  var sum_k: Sums;
  var sum_v: Sums;
  if (subgroup < SUBGROUPS) { own = own_keys(first + block_row(subgroup), kv_head); }
  // All tiles of queries of a head, then those of the next.
  let tiles = (end - first + QUERIES - 1u) / QUERIES;
  let group = params.heads / params.kv_heads;
  fetch_queries(first, end, kv_head * group, lane);
  for (var tile = 0u; tile < tiles * group; tile++) {
    let head = kv_head * group + tile / tiles;
    let query = first + tile % tiles * QUERIES;
    stage_queries(lane);
    workgroupBarrier();
    if (tile + 1u < tiles * group) {
      fetch_queries(first + (tile + 1u) % tiles * QUERIES, end, kv_head * group + (tile + 1u) / tiles, lane);
    }
    if (subgroup < SUBGROUPS) { put_scores_and_slopes(&own, subgroup); }
    workgroupBarrier();
    weigh_queries(query, head, first, lane);
    workgroupBarrier();
    if (subgroup < SUBGROUPS) {
      add_weighted_queries(&sum_k, 1u, 0u, subgroup);
      add_weighted_queries(&sum_v, 0u, DOUT, subgroup);
    }
    workgroupBarrier();
  }

  for (var c = 0u; c < params.columns; c++) {
    stage_column(&sum_k, c, 0u, subgroup);
    workgroupBarrier();
    for (var slot = lane; slot < KEYS * OUT_PAIRS; slot += THREADS) {
      let pair = staged_pair(c, slot);
      let row = first + pair.row;
      if (row < params.rows && pair.index < params.pairs) {
        let exponent = exponent_of_sequence(starts[row], first) + exponents[0] + exponents[2] + GRADIENT_EXPONENT;
        let factors = factors_of_power(exponent);
        dk[(row * params.kv_heads + kv_head) * params.pairs + pair.index] = pair.value * params.scale * factors.x * factors.y;
      }
    }
    workgroupBarrier();
    stage_column(&sum_v, c, 0u, subgroup);
    workgroupBarrier();
    for (var slot = lane; slot < KEYS * OUT_PAIRS; slot += THREADS) {
      let pair = staged_pair(c, slot);
      let row = first + pair.row;
      if (row < params.rows && pair.index < params.pairs) {
        let factors = factors_of_power(exponent_of_sequence(starts[row], first) - WEIGHT_TOP);
        dv[(row * params.kv_heads + kv_head) * params.pairs + pair.index] = pair.value * factors.x * factors.y;
      }
    }
    workgroupBarrier();
  }
}
