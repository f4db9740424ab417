// Attention for GPUs, forward: attention.wgsl's definition, to its bits.
//
//   attention_forward   out, lse          overwritten; keys and values of packed sequences, starts[i] the first row of i's own
//   attention_paged     out               overwritten; keys and values in the cache's blocks: for rows that share sequences (prefill)
//   attention_partial   partial_softmax,  overwritten: (m, l) and o of a block of keys alone: decoding, all blocks side by side
//                       partial_values
//   attention_merge     out               overwritten: the blocks of a row joined in their order
//
// Parallelisation: LANES neighbouring invocations, its shares, have a row of the head, of QUERIES queries that share a key head; each
// loads its octets of a key once for them, 16 bytes at a time and next to its neighbour's. A key's score is complete when the
// lanes' shares of it are joined: each lane ends with the keys of a step that it weighs, and hands the weights round. How is in
// lib/attention-exchange-*.wgsl, how an octet is loaded in lib/attention-octets-*.wgsl; the host puts one of each in front.
//
// attention_forward and attention_paged walk through the blocks of a workgroup's queries, the ones with most keys first. In
// attention_partial neighbouring rows of lanes take the heads of a key head, so that a key comes from memory once for all.
//
// The host puts these constants in front: HEAD_PAIRS, LANES, QUERIES, TAKEN, THREADS, PAGE (rows of the cache's blocks).

struct Params {
  rows: u32,
  heads: u32,
  kv_heads: u32,
  scale: f32,
  steps: u32,  // BLOCK / STEP
  turns: u32,  // of a step: STEP / TAKEN
  max_blocks: u32,
  first_block: u32, // of this layer in the cache
  blocks: u32,      // of keys, for which there is room in `partial_values`
  first_row: u32,   // that `partial_values` begins with
  part_rows: u32,   // and how many it has
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(4) var<storage, read_write> out: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<storage, read> starts: array<u32>;
@group(0) @binding(7) var<storage, read> positions: array<u32>;
@group(0) @binding(8) var<storage, read> slots: array<u32>;
@group(0) @binding(9) var<storage, read> tables: array<u32>;
@group(0) @binding(10) var<storage, read_write> partial_softmax: array<vec2<f32>>;
@group(0) @binding(11) var<storage, read_write> partial_values: array<vec4<f32>>;
@group(0) @binding(12) var<storage, read> saved_softmax: array<vec2<f32>>;
@group(0) @binding(13) var<storage, read> saved_values: array<vec4<f32>>;

var<private> limit: array<u32, QUERIES>; // keys of the sequence at hand that a query sees

// Eight keys, from number j of the sequence on, whose rows are these. The loops over turns have a parameter for a bound so that they
// stay loops: a compiler that has all eight keys on their way at once runs out of registers.
fn take_step(j: u32, step_rows: Rows) {
  var rows = step_rows;
  var shares: array<Eight, QUERIES>;
  for (var turn = 0u; turn < params.turns; turn++) {
    for (var i = 0u; i < TAKEN; i++) {
      let key = k_share(rows[0][i]);
      for (var n = 0u; n < QUERIES; n++) { shares[n][0][i] = dot_shares(query[n], key); }
    }
    shares = turned_all(shares);
    rows = turned(rows);
  }
  var own = own_scores(lane, shares);
  let first_key = j + first_own_key(lane);
  for (var n = 0u; n < QUERIES; n++) {
    for (var i = 0u; i < OWN; i++) { own[n][i] = select(LOWEST, own[n][i], first_key + i < limit[n]); }
  }
  let largest_here = largest_scores(own);
  var shrink: array<f32, QUERIES>;
  for (var n = 0u; n < QUERIES; n++) {
    let now = max(largest_here[n], largest[n]);
    shrink[n] = exp_f32(largest[n] - now);
    largest[n] = now;
    for (var i = 0u; i < OWN; i++) { own[n][i] = select(0.0, exp_f32(own[n][i] - now), first_key + i < limit[n]); }
  }
  var weights = all_weights(own);
  for (var n = 0u; n < QUERIES; n++) {
    sum[n] = fma(sum[n], shrink[n], sum_of(weights[n]));
    sum_values[n] = scaled(sum_values[n], shrink[n]);
  }
  for (var turn = 0u; turn < params.turns; turn++) {
    for (var i = 0u; i < TAKEN; i++) {
      let value = v_share(rows[0][i]);
      for (var n = 0u; n < QUERIES; n++) { sum_values[n] = add_scaled(sum_values[n], value, weights[n][0][i]); }
    }
    weights = turned_all(weights);
    rows = turned(rows);
  }
}

fn cache_row(slot: u32, j: u32) -> u32 {
  let physical = params.first_block + tables[slot * params.max_blocks + j / PAGE];
  return (physical * PAGE + j % PAGE) * params.kv_heads + kv_head;
}

fn paged_rows(slot: u32, j: u32, end: u32) -> Rows {
  var rows: Rows;
  if (PAGE % STEP == 0u) {
    let first = cache_row(slot, min(j, end - 1u));
    let last = end - 1u - min(j, end - 1u);
    for (var i = 0u; i < STEP; i++) { rows[i / 4u][i % 4u] = first + min(i, last) * params.kv_heads; }
  } else {
    for (var i = 0u; i < STEP; i++) { rows[i / 4u][i % 4u] = cache_row(slot, min(j + i, end - 1u)); }
  }
  return rows;
}

// ---- queries of a tile -------------------------------------------------------------------------------------------------

fn store_out() {
  for (var n = 0u; n < QUERIES; n++) {
    if (first_query + n >= query_count()) { continue; }
    for (var i = 0u; i < OCTETS; i++) {
      for (var p = 0u; p < 4u; p++) {
        let at = pair_in_row(i, p);
        if (at < HEAD_PAIRS) { out[query_row(n) * HEAD_PAIRS + at] = pair_of(all_values[n], i, p) / all_sum[n]; }
      }
    }
  }
}

@compute @workgroup_size(THREADS)
fn attention_forward(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) invocation: u32,
) {
  enter(invocation);
  lane = invocation % LANES;
  kv_head = wid.y;
  let tile = (groups.x - 1u - wid.x) * TILE;
  first_query = tile + invocation / LANES * QUERIES;
  load_queries();
  begin_softmax();
  // The tile's rows are of one sequence or of several: each in turn, the last one first.
  let first = starts[tile / group_size()];
  var end = min(tile + TILE - 1u, query_count() - 1u) / group_size() + 1u;
  while (end > first) {
    let start = starts[end - 1u];
    for (var n = 0u; n < QUERIES; n++) {
      let row = row_of(n);
      limit[n] = select(0u, row + 1u - start, starts[row] == start && row < end);
    }
    let length = end - start;
    for (var begin = 0u; begin < length; begin += BLOCK) {
      begin_block();
      let block_end = min(begin + BLOCK, length);
      for (var j = begin; j < block_end; j += STEP) { take_step(j, packed_rows(start, j, length)); }
      end_block();
    }
    end = start;
  }
  if (lane == 0u) {
    for (var n = 0u; n < QUERIES; n++) {
      if (first_query + n < query_count()) {
        lse[query_row(n)] = all_largest[n] + log_f32(all_sum[n]);
      }
    }
  }
  store_out();
}

@compute @workgroup_size(THREADS)
fn attention_paged(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) invocation: u32,
) {
  enter(invocation);
  lane = invocation % LANES;
  kv_head = wid.y;
  let tile = (groups.x - 1u - wid.x) * TILE;
  first_query = tile + invocation / LANES * QUERIES;
  load_queries();
  begin_softmax();
  // Neighbouring rows of one sequence together.
  let first = tile / group_size();
  var end = min(tile + TILE - 1u, query_count() - 1u) / group_size() + 1u;
  while (end > first) {
    let slot = slots[end - 1u];
    var begin_row = end - 1u;
    var length = positions[begin_row] + 1u;
    while (begin_row > first && slots[max(begin_row, 1u) - 1u] == slot) {
      begin_row--;
      length = max(length, positions[begin_row] + 1u);
    }
    for (var n = 0u; n < QUERIES; n++) {
      let row = row_of(n);
      limit[n] = select(0u, positions[row] + 1u, begin_row <= row && row < end);
    }
    for (var begin = 0u; begin < length; begin += BLOCK) {
      begin_block();
      let block_end = min(begin + BLOCK, length);
      for (var j = begin; j < block_end; j += STEP) { take_step(j, paged_rows(slot, j, length)); }
      end_block();
    }
    end = begin_row;
  }
  store_out();
}

// ---- blocks side by side -------------------------------------------------------------------------------------------------

const SUM_QUADS = 2u * OCTETS * LANES; // of a row in `partial_values`

// Where a block's partial is.
fn partial_at(row: u32, head: u32, number: u32) -> u32 {
  return ((row - params.first_row) * params.heads + head) * params.blocks + number;
}

@compute @workgroup_size(THREADS)
fn attention_partial(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) invocation: u32,
) {
  enter(invocation);
  lane = invocation % LANES;
  // Heads run fastest, then blocks, key heads and rows.
  let tiles = (group_size() + QUERIES - 1u) / QUERIES;
  let items = params.part_rows * params.kv_heads * params.blocks * tiles;
  let index = linear_group(wid, groups) * GROUPS + invocation / LANES;
  let item = min(index, items - 1u);
  let number = item / tiles % params.blocks;
  kv_head = item / tiles / params.blocks % params.kv_heads;
  let row = params.first_row + item / tiles / params.blocks / params.kv_heads;
  let first_head = item % tiles * QUERIES; // in its group
  let length = positions[row] + 1u;
  let begin = number * BLOCK;
  let end = min(begin + BLOCK, max(length, begin));
  first_query = row * group_size() + first_head;
  for (var n = 0u; n < QUERIES; n++) {
    let head = kv_head * group_size() + min(first_head + n, group_size() - 1u);
    query[n] = kept(q_share(row * params.heads + head), params.scale);
    limit[n] = length;
  }
  begin_block();
  let steps = step_bound(select(0u, (end - begin + STEP - 1u) / STEP, index < items));
  for (var step = 0u; step < steps; step++) {
    let j = begin + step * STEP;
    take_step(j, paged_rows(slots[row], j, length));
  }
  if (index >= items || end == begin) { return; }
  for (var n = 0u; n < QUERIES; n++) {
    if (first_head + n >= group_size()) { continue; }
    let at = partial_at(row, kv_head * group_size() + first_head + n, number);
    if (lane == 0u) { partial_softmax[at] = vec2(largest[n], sum[n]); }
    for (var i = 0u; i < OCTETS; i++) {
      for (var h = 0u; h < 2u; h++) { partial_values[at * SUM_QUADS + 2u * octet_of(i) + h] = sum_values[n][i][h]; }
    }
  }
}

@compute @workgroup_size(THREADS)
fn attention_merge(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  const QUADS = (HEAD_PAIRS + 1u) / 2u;
  let index = linear_index(gid, groups, THREADS);
  let quad = index % QUADS;
  let head = index / QUADS % params.heads;
  let row = params.first_row + index / QUADS / params.heads;
  if (row >= params.first_row + params.part_rows) { return; }
  let blocks = positions[row] / BLOCK + 1u;
  var top = LOWEST;
  var total = 0.0;
  var values = vec4(0.0);
  for (var b = 0u; b < blocks; b++) {
    let at = partial_at(row, head, b);
    let one = saved_softmax[at];
    let merge = merge_of(top, one.x);
    top = merge.largest;
    total = fma(total, merge.before, one.y * merge.block);
    values = fma(vec4(merge.before), values, saved_values[at * SUM_QUADS + quad] * merge.block);
  }
  let base = (row * params.heads + head) * HEAD_PAIRS + 2u * quad;
  out[base] = values.xy / total;
  if (2u * quad + 1u < HEAD_PAIRS) { out[base + 1u] = values.zw / total; }
}
