// The sampler: draws the next token of every row from softmax(z), z = logits [rows, vocabulary] already divided by the
// temperature, and moves the rows on, so that a step's tokens are the next step's input without leaving the device.
//
//   sample_threshold  thresholds                overwritten: what top-k, top-p and min-p keep
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
// last. Min-p keeps, of these, the tokens of at least `min_p` times the most probable one's probability, which is to say
// z >= max z + log(min_p). All three sets are "z >= threshold", and the threshold of the first two is found by radix selection: a histogram over the highest 8 bits
// of z tells which of them the threshold has, another over the next 8 bits of the tokens that share those, and so on.
// Probabilities are summed as multiples of 2^-31, so that the order in which the lanes add them changes nothing.
//
// out_logprobs = z[token] - lse: of the token under the full distribution, without top-k, top-p and min-p, as the trainer's. A row
// with a z that is not finite has no distribution: its token is 0, and its log-probability NaN.
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
  min_p: u32,    // whether log_min_p applies
  log_min_p: f32,
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

// ---- top-k, top-p and min-p ----------------------------------------------------------------------------------------

const THRESHOLD_LANES = 128u;
const BINS = 256u;
const ONE = 0x1p31; // the whole probability
var<workgroup> histogram: array<atomic<u32>, BINS>;
var<workgroup> total: atomic<u32>;
var<workgroup> largest: atomic<u32>;
var<workgroup> selected: vec2<u32>; // the threshold so far, and what is wanted of the tokens that share it

// The bits of a float, in an order that is that of the floats.
fn ordered_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn from_ordered_bits(bits: u32) -> f32 {
  return bitcast<f32>(select(~bits, bits & 0x7fffffffu, bits >= 0x80000000u));
}

fn probability(row: u32, z: f32) -> u32 {
  return u32(round(exp_f32(z - lse[row]) * ONE));
}

// The probability of the tokens from `threshold` on.
fn probability_from(row: u32, lane: u32, threshold: u32) -> u32 {
  var sum = 0u;
  for (var i = lane; i < params.vocabulary; i += THRESHOLD_LANES) {
    let z = logits[row * params.vocabulary + i];
    if (ordered_bits(z) >= threshold) { sum += probability(row, z); }
  }
  atomicAdd(&total, sum); // once a workgroup: it was 0
  workgroupBarrier();
  return atomicLoad(&total);
}

// The largest threshold, `lowest` or above, from which on the tokens' number (if `count`) or probability is `wanted` or more.
fn largest_threshold(row: u32, lane: u32, lowest: u32, wanted: u32, count: bool) -> u32 {
  var threshold = 0u;
  var left = wanted;
  var known = 0u; // mask of the bits of `threshold` that are found
  for (var shift = 32u; shift > 0u;) {
    shift -= 8u;
    for (var bin = lane; bin < BINS; bin += THRESHOLD_LANES) { atomicStore(&histogram[bin], 0u); }
    workgroupBarrier();
    for (var i = lane; i < params.vocabulary; i += THRESHOLD_LANES) {
      let z = logits[row * params.vocabulary + i];
      let bits = ordered_bits(z);
      if (bits >= lowest && (bits & known) == threshold) {
        var weight = 1u;
        if (!count) { weight = probability(row, z); }
        atomicAdd(&histogram[(bits >> shift) % BINS], weight);
      }
    }
    workgroupBarrier();
    if (lane == 0u) {
      var bin = BINS - 1u;
      for (; bin > 0u; bin--) {
        let weight = atomicLoad(&histogram[bin]);
        if (weight >= left) { break; }
        left -= weight;
      }
      selected = vec2(threshold | (bin << shift), left);
    }
    workgroupBarrier();
    threshold = selected.x;
    left = selected.y;
    known |= 0xffu << shift;
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
  if (params.top_k > 0u) { threshold = largest_threshold(row, lane, 0u, params.top_k, true); }
  if (params.top_p < 1.0) {
    let kept = probability_from(row, lane, threshold);
    let wanted = clamp(u32(params.top_p * f32(kept)), 1u, max(kept, 1u));
    threshold = largest_threshold(row, lane, threshold, wanted, false);
  }
  if (params.min_p != 0u) {
    var most = 0u;
    for (var i = lane; i < params.vocabulary; i += THRESHOLD_LANES) {
      most = max(most, ordered_bits(logits[row * params.vocabulary + i]));
    }
    atomicMax(&largest, most); // once a workgroup: it was 0
    workgroupBarrier();
    threshold = max(threshold, ordered_bits(from_ordered_bits(atomicLoad(&largest)) + params.log_min_p));
  }
  if (lane == 0u) { thresholds[row] = threshold; }
}

// ---- draw ----------------------------------------------------------------------------------------------------------

const CHUNK = 2048u; // VOCAB_CHUNK in src/kernels/logprob.ts
const LANES = 64u;
const REDUCERS = 8u; // lanes
const NONE = 0xffffffffu;
const NOT_FINITE = 0xfffffffeu; // in a candidate's token: wins against all others
const EXPONENT = 0x7f800000u;
var<workgroup> lane_candidates: array<Candidate, LANES>;

fn better(a: Candidate, b: Candidate) -> Candidate {
  if (a.token == NOT_FINITE || b.token == NOT_FINITE) { return Candidate(0.0, NOT_FINITE); }
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
  var finite = true;
  for (var first = chunk * CHUNK + 4u * lane; first < end; first += 4u * LANES) {
    var noise = vec4(0.0);
    if (params.greedy == 0u) {
      let counter = vec4(first / 4u, positions[row], keys[row].zw);
      noise = gumbel(philox4x32(counter, keys[row].xy));
    }
    for (var j = 0u; j < min(4u, end - first); j++) {
      let z = logits[row * params.vocabulary + first + j];
      // By its bits: a compiler may take for granted that there is no NaN.
      finite = finite && (bitcast<u32>(z) & EXPONENT) != EXPONENT;
      if (ordered_bits(z) >= threshold) { best = better(best, Candidate(z + noise[j], first + j)); }
    }
  }
  if (!finite) { best.token = NOT_FINITE; }
  // In two steps: 8 lanes take the best of eight each, then one the best of those.
  lane_candidates[lane] = best;
  workgroupBarrier();
  if (lane < REDUCERS) {
    for (var i = lane + REDUCERS; i < LANES; i += REDUCERS) { best = better(best, lane_candidates[i]); }
    lane_candidates[lane] = best;
  }
  workgroupBarrier();
  if (lane > 0u) { return; }
  for (var i = 1u; i < REDUCERS; i++) { best = better(best, lane_candidates[i]); }
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
  if (best.token == NOT_FINITE) {
    out_tokens[at] = 0u;
    out_logprobs[at] = bitcast<f32>(best.token); // all bits but the last: a NaN
    return;
  }
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
