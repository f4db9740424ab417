// attention_forward of attention.wgsl on subgroup matrices, for keys and values stored in bf16, with operands rounded to the
// matrices' components (f16, or f32 and then not rounded) and sums in f32. It does NOT have the bits of the engine's attention_paged,
// which goes through the keys in another order: whoever uses it gives up that a token's log-probability is the same in
// sampling and in training.
//
//   attention_forward   out, lse   overwritten
//
// Parallelisation: as lib/attention-matrix.wgsl says; a workgroup has a tile of queries of one head, the ones with most keys first.
//
// Numbers. The online softmax relates weights to a row's reference, the largest score so far. The sums of values are
// matrices, whose rows can only be scaled on a way through workgroup memory; so a reference stays until a score exceeds it by
// more than SLACK, which is rare after the first keys (FlashAttention-4's rule). Weights are then at most e^SLACK and, scaled to
// 2^WEIGHT_TOP of that, within f16. q has two parts, k and v are exact but for their tensor's smallest (attention-pack.wgsl),
// so that only the weights are rounded to one f16; their sum is not.
//
// The constants in capitals come from the host and from lib/attention-matrix.wgsl.

@group(0) @binding(5) var<storage, read_write> out: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;

const LOWEST = -3.4e38;
const SLACK = 5.5; // e^5.5 < 2^SLACK_EXPONENT
const SLACK_EXPONENT = 8;
const WEIGHT_EXPONENT_HERE = WEIGHT_TOP - SLACK_EXPONENT;

// Of every query of the tile. The sum lacks the weights of the last keys until the next row step.
var<workgroup> reference: array<f32, QUERIES>;
var<workgroup> sum: array<f32, QUERIES>;
var<workgroup> shrink: array<f32, QUERIES>;
// Whether a reference has moved.
var<workgroup> moved: u32;
// Of every octet of the area.
var<workgroup> octet_largest: array<f32, AREA_OCTETS>;
var<workgroup> octet_sum: array<f32, AREA_OCTETS>;

// An invocation's octets of scores; LOWEST where a key is not visible.
var<private> held_low: array<vec4<f32>, AREA_SHARE>;
var<private> held_high: array<vec4<f32>, AREA_SHARE>;

fn largest_of(v: vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }

fn scores_at(slot: u32, half: u32, query: u32, start: u32, first_key: u32, scale: f32) -> vec4<f32> {
  let key = first_key + 8u * slot_octet(slot) + 4u * half;
  return select(vec4(LOWEST), results_at(0u, slot, half) * scale, visible(query, start, key));
}

fn hold_scores(first: u32, first_key: u32, lane: u32) {
  let scale = score_scale();
  for (var i = 0u; i < AREA_SHARE; i++) {
    let slot = i * THREADS + lane;
    if (slot >= AREA_OCTETS) { break; }
    let query = first + slot_query(slot);
    let start = select(NOWHERE, starts[min(query, params.rows - 1u)], query < params.rows);
    held_low[i] = scores_at(slot, 0u, query, start, first_key, scale);
    held_high[i] = scores_at(slot, 1u, query, start, first_key, scale);
    octet_largest[slot] = max(largest_of(held_low[i]), largest_of(held_high[i]));
  }
}

fn add_last_weights(query: u32) {
  for (var i = 0u; i < KEYS / 8u; i++) { sum[query] += octet_sum[query * (KEYS / 8u) + i]; }
}

// Moves the references that these scores exceed by more than SLACK; `shrink` is what sums are to be multiplied by.
fn move_references(lane: u32) {
  for (var query = lane; query < QUERIES; query += THREADS) {
    add_last_weights(query);
    var largest = LOWEST;
    for (var i = 0u; i < KEYS / 8u; i++) { largest = max(largest, octet_largest[query * (KEYS / 8u) + i]); }
    let previous = reference[query];
    let moves = largest > previous + SLACK;
    shrink[query] = select(1.0, exp_f32(previous - largest), moves);
    if (moves) {
      reference[query] = largest;
      sum[query] *= shrink[query];
      moved = 1u;
    }
  }
}

// The sums of values, column by column through the second area.
fn shrink_sums(sums: ptr<function, Sums>, lane: u32, subgroup: u32) {
  for (var c = 0u; c < params.columns; c++) {
    stage_column(sums, c, 1u, subgroup);
    workgroupBarrier();
    for (var slot = lane; slot < QUERIES * OUT_QUADS; slot += THREADS) {
      let row = slot / OUT_QUADS;
      let at = AREA + row * OUT_STRIDE + slot % OUT_QUADS;
      areas[at] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(areas[at]) * shrink[row]);
    }
    workgroupBarrier();
    unstage_column(sums, c, 1u, subgroup);
    workgroupBarrier();
  }
}

fn weights_of(scores: vec4<f32>, largest: f32) -> vec4<f32> {
  return select(exp_vec4(scores - largest), vec4(0.0), scores == vec4(LOWEST));
}

fn put_softmax(lane: u32) {
  for (var i = 0u; i < AREA_SHARE; i++) {
    let slot = i * THREADS + lane;
    if (slot >= AREA_OCTETS) { break; }
    let row_reference = reference[slot_query(slot)];
    let low = weights_of(held_low[i], row_reference);
    let high = weights_of(held_high[i], row_reference);
    octet_sum[slot] = dot(low, vec4(1.0)) + dot(high, vec4(1.0));
    put_weights(0u, slot, to_octet(low * power_of_two(WEIGHT_EXPONENT_HERE), high * power_of_two(WEIGHT_EXPONENT_HERE)));
  }
}

@compute @workgroup_size(THREADS)
fn attention_forward(
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
  for (var query = lane; query < QUERIES; query += THREADS) { reference[query] = LOWEST; }
  // The tile's rows are of one sequence or of several, which follow each other.
  let end = min(first + QUERIES, params.rows);
  let start = starts[first];
  fetch_keys(start, end, kv_head, lane);
  for (var key = start; key < end; key += KEYS) {
    stage_keys(lane);
    if (lane == 0u) { moved = 0u; }
    workgroupBarrier();
    fetch_keys(key + KEYS, end, kv_head, lane);
    if (subgroup < SUBGROUPS) { put_scores(&own, subgroup); }
    workgroupBarrier();
    hold_scores(first, key, lane);
    workgroupBarrier();
    move_references(lane);
    if (workgroupUniformLoad(&moved) != 0u) { shrink_sums(&sums, lane, subgroup); }
    put_softmax(lane);
    workgroupBarrier();
    if (subgroup < SUBGROUPS) { add_weighted_keys(&sums, 0u, 1u, subgroup); }
    workgroupBarrier();
  }

  for (var query = lane; query < QUERIES; query += THREADS) {
    add_last_weights(query);
    let row = first + query;
    if (row < params.rows) { lse[row * params.heads + head] = reference[query] + log_f32(sum[query]); }
  }
  let factors = factors_of_power(exponents[2] - WEIGHT_EXPONENT_HERE);
  for (var c = 0u; c < params.columns; c++) {
    stage_column(&sums, c, 0u, subgroup);
    workgroupBarrier();
    for (var slot = lane; slot < QUERIES * OUT_PAIRS; slot += THREADS) {
      let pair = staged_pair(c, slot);
      let row = first + pair.row;
      if (row < params.rows && pair.index < params.pairs) {
        let value = pair.value * factors.x * factors.y / sum[pair.row];
        out[(row * params.heads + head) * params.pairs + pair.index] = value;
      }
    }
    workgroupBarrier();
  }
}
