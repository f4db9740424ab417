// The sampler: draws the next token of every row from softmax(z), z = logits [rows, vocabulary] already divided by the
// temperature, and moves the rows on, so that a step's tokens are the next step's input without leaving the device.
//
//   sample_threshold  thresholds                overwritten: what top-k and top-p keep
//   sample_chunk      candidates                overwritten: the best token of each chunk
//   sample_pick       out_tokens, out_logprobs  row `step` overwritten
//   sample_advance    tokens, positions, done   updated in the rows that are not done
//
// The draw is the Gumbel-max trick: the token with the largest z + noise, noise = -log(-log(u)), is distributed as
// softmax(z), over the kept tokens as their softmax. The noise of a token comes from Philox with the key (seed) and the
// counter (token / 4, position, prompt, sample): it depends on what is drawn, not on when, where and beside what. Greedy
// is the same without noise; the lowest index wins a tie.
//
// Top-k keeps the tokens with at least the k-th largest z, all of them where several are equal to it. Top-p then keeps
// the largest z of those until they have at least `top_p` of their probability, again with all that are equal to the
// last. Both sets are "z >= threshold": the threshold is built bit by bit, highest first, in the order of floats.
//
// out_logprobs = z[token] - lse: of the token under the full distribution, without top-k and top-p, as the trainer's.
//
// Parallelisation: threshold, a workgroup of 128 lanes a row; chunk, one of 64 lanes for CHUNK tokens of a row, a lane 4
// tokens at a time; pick and advance, an invocation a row.

struct Params {
  rows: u32,
  vocabulary: u32,
  step: u32,
  greedy: u32,
  filtered: u32, // whether thresholds apply
  top_k: u32,    // 0 keeps all
  top_p: f32,    // 1 keeps all
  stop_count: u32,
}

struct Candidate {
  score: f32,
  token: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> lse: array<f32>;
@group(0) @binding(3) var<storage, read> keys: array<vec4<u32>>; // seed (low, high), prompt, sample
@group(0) @binding(4) var<storage, read_write> thresholds: array<u32>;
@group(0) @binding(5) var<storage, read_write> candidates: array<Candidate>; // [rows, chunks]
@group(0) @binding(6) var<storage, read_write> out_tokens: array<u32>;       // [steps, rows]
@group(0) @binding(7) var<storage, read_write> out_logprobs: array<f32>;     // [steps, rows]
@group(0) @binding(8) var<storage, read> stops: array<u32>;
@group(0) @binding(9) var<storage, read> limits: array<u32>;
@group(0) @binding(10) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(11) var<storage, read_write> positions: array<u32>;
@group(0) @binding(12) var<storage, read_write> done: array<u32>;

// ---- top-k and top-p -----------------------------------------------------------------------------------------------

const THRESHOLD_LANES = 128u;
var<workgroup> lane_weights: array<f32, THRESHOLD_LANES>;

// The bits of a float, in an order that is that of the floats.
fn ordered_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

// Over the tokens from `threshold` on, their number (exact: it is below 2^24) or their probability.
fn weight_from(row: u32, lane: u32, threshold: u32, count: bool) -> f32 {
  var weight = 0.0;
  for (var i = lane; i < params.vocabulary; i += THRESHOLD_LANES) {
    let z = logits[row * params.vocabulary + i];
    if (ordered_bits(z) >= threshold) { weight += select(exp(z - lse[row]), 1.0, count); }
  }
  workgroupBarrier(); // the last call's sum has been read
  lane_weights[lane] = weight;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < THRESHOLD_LANES; i++) { sum += lane_weights[i]; }
  return sum;
}

// The largest threshold, `lowest` or above, whose tokens weigh at least `wanted`. Weights fall as the threshold grows.
fn largest_threshold(row: u32, lane: u32, lowest: u32, wanted: f32, count: bool) -> u32 {
  var threshold = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
    let higher = threshold | bit;
    if (weight_from(row, lane, max(higher, lowest), count) >= wanted) { threshold = higher; }
  }
  return max(threshold, lowest);
}

@compute @workgroup_size(THRESHOLD_LANES)
fn sample_threshold(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = linear_group(wid, groups);
  if (row >= params.rows) { return; }
  var threshold = 0u;
  if (params.top_k > 0u) { threshold = largest_threshold(row, lane, 0u, f32(params.top_k), true); }
  if (params.top_p < 1.0) {
    let wanted = params.top_p * weight_from(row, lane, threshold, false);
    threshold = largest_threshold(row, lane, threshold, wanted, false);
  }
  if (lane == 0u) { thresholds[row] = threshold; }
}

// ---- draw ----------------------------------------------------------------------------------------------------------

const CHUNK = 2048u; // VOCAB_CHUNK in src/kernels/logprob.ts
const LANES = 64u;
const NONE = 0xffffffffu;
var<workgroup> lane_candidates: array<Candidate, LANES>;

fn better(a: Candidate, b: Candidate) -> Candidate {
  let second = b.token != NONE && (a.token == NONE || b.score > a.score || (b.score == a.score && b.token < a.token));
  return Candidate(select(a.score, b.score, second), select(a.token, b.token, second));
}

@compute @workgroup_size(LANES)
fn sample_chunk(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let chunks = (params.vocabulary + CHUNK - 1u) / CHUNK;
  let group = linear_group(wid, groups);
  let row = group / chunks;
  let chunk = group % chunks;
  if (row >= params.rows) { return; }
  let end = min((chunk + 1u) * CHUNK, params.vocabulary);
  let threshold = select(0u, thresholds[row], params.filtered != 0u);

  var best = Candidate(0.0, NONE);
  for (var first = chunk * CHUNK + 4u * lane; first < end; first += 4u * LANES) {
    var noise = vec4(0.0);
    if (params.greedy == 0u) {
      let counter = vec4(first / 4u, positions[row], keys[row].zw);
      noise = gumbel(philox4x32(counter, keys[row].xy));
    }
    for (var j = 0u; j < min(4u, end - first); j++) {
      let z = logits[row * params.vocabulary + first + j];
      if (ordered_bits(z) >= threshold) { best = better(best, Candidate(z + noise[j], first + j)); }
    }
  }
  lane_candidates[lane] = best;
  workgroupBarrier();
  if (lane > 0u) { return; }
  for (var i = 1u; i < LANES; i++) { best = better(best, lane_candidates[i]); }
  candidates[group] = best;
}

@compute @workgroup_size(64)
fn sample_pick(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_index(gid, groups, 64u);
  if (row >= params.rows) { return; }
  let chunks = (params.vocabulary + CHUNK - 1u) / CHUNK;
  var best = candidates[row * chunks];
  for (var i = 1u; i < chunks; i++) { best = better(best, candidates[row * chunks + i]); }
  let at = params.step * params.rows + row;
  out_tokens[at] = best.token;
  out_logprobs[at] = logits[row * params.vocabulary + best.token] - lse[row];
}

// ---- decode state --------------------------------------------------------------------------------------------------

@compute @workgroup_size(64)
fn sample_advance(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_index(gid, groups, 64u);
  if (row >= params.rows || done[row] != 0u) { return; }
  let token = out_tokens[params.step * params.rows + row];
  let position = positions[row] + 1u;
  var last = position >= limits[row];
  for (var i = 0u; i < params.stop_count; i++) { last = last || token == stops[i]; }
  tokens[row] = token;
  positions[row] = position;
  done[row] = select(0u, 1u, last);
}
