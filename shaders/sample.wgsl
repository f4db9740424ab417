// Draws a token from each row of logits, and moves the decode state on, so that the next step's input stays on the device.
//
//   sample_select    out_tokens, out_logprobs    row `step` overwritten
//   sample_advance   tokens, positions, done     overwritten
//
// Sampling is Gumbel-max: argmax over the kept tokens of z + Gumbel noise, which draws from softmax(z) restricted to them. The
// noise is Philox at (vocabulary index, position, sample, prompt) under the key (seed): it depends on nothing else.
// z = logits * inverse_temperature. Top-k keeps the k largest (and whatever equals the k-th); top-p then keeps the smallest set
// of largest ones whose share in what top-k left reaches p. Both find their threshold by bisection over the bits of z, whose
// order is that of the numbers: exact, and without sorting.
// Greedy decoding takes the largest logit, the first of equals. The log-probability is that of the whole softmax, z - lse.
//
// Parallelisation: select takes a workgroup a row, advance an invocation a row.

struct Params {
  rows: u32,
  vocabulary: u32,
  step: u32,
  greedy: u32,
  top_k: u32, // 0: off
  num_stops: u32,
  top_p: f32, // 1: off
  inverse_temperature: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> lse: array<f32>;
@group(0) @binding(3) var<storage, read> keys: array<vec4<u32>>; // seed low, seed high, prompt, sample
@group(0) @binding(4) var<storage, read> drawn_positions: array<u32>;
@group(0) @binding(5) var<storage, read_write> out_tokens: array<u32>;
@group(0) @binding(6) var<storage, read_write> out_logprobs: array<f32>;
@group(0) @binding(7) var<storage, read> drawn: array<u32>;
@group(0) @binding(8) var<storage, read> stops: array<u32>;
@group(0) @binding(9) var<storage, read> limits: array<u32>;
@group(0) @binding(10) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(11) var<storage, read_write> positions: array<u32>;
@group(0) @binding(12) var<storage, read_write> done: array<u32>;

const LOWEST = -3.4e38;
const NONE = 0xffffffffu;

// The bits of a number, changed so that unsigned order is the numbers' order.
fn ordered(z: f32) -> u32 {
  let bits = bitcast<u32>(z);
  return bits ^ select(0x80000000u, 0xffffffffu, bits >> 31u == 1u);
}

fn z_at(base: u32, v: u32) -> f32 { return logits[base + v] * params.inverse_temperature; }

// Number of tokens (or their probability, up to the factor exp(-lse)) at or above a threshold.
fn count_above(base: u32, lane: u32, threshold: u32) -> f32 {
  var count = 0.0;
  for (var v = lane; v < params.vocabulary; v += REDUCE_LANES) {
    count += select(0.0, 1.0, ordered(z_at(base, v)) >= threshold);
  }
  return workgroup_sum(count, lane);
}

fn mass_above(base: u32, lane: u32, threshold: u32, row_lse: f32) -> f32 {
  var mass = 0.0;
  for (var v = lane; v < params.vocabulary; v += REDUCE_LANES) {
    let z = z_at(base, v);
    if (ordered(z) >= threshold) { mass += exp(z - row_lse); }
  }
  return workgroup_sum(mass, lane);
}

// The largest threshold that still keeps k tokens.
fn top_k_threshold(base: u32, lane: u32) -> u32 {
  var threshold = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
    if (count_above(base, lane, threshold | bit) >= f32(params.top_k)) { threshold |= bit; }
  }
  return threshold;
}

// The largest threshold, not below `lowest`, that still keeps a share p of the mass above `lowest`.
fn top_p_threshold(base: u32, lane: u32, lowest: u32, row_lse: f32) -> u32 {
  let wanted = params.top_p * mass_above(base, lane, lowest, row_lse);
  var threshold = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
    if (mass_above(base, lane, threshold | bit, row_lse) >= wanted) { threshold |= bit; }
  }
  return max(threshold, lowest);
}

var<workgroup> best_scores: array<f32, REDUCE_LANES>;
var<workgroup> best_tokens: array<u32, REDUCE_LANES>;

@compute @workgroup_size(REDUCE_LANES)
fn sample_select(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = linear_group(wid, groups);
  // Rows beyond the end repeat the last one, so that every invocation meets the barriers.
  let row = min(index, params.rows - 1u);
  let base = row * params.vocabulary;
  let row_lse = lse[row];
  var threshold = 0u;
  if (params.greedy == 0u) {
    if (params.top_k > 0u && params.top_k < params.vocabulary) { threshold = top_k_threshold(base, lane); }
    if (params.top_p < 1.0) { threshold = top_p_threshold(base, lane, threshold, row_lse); }
  }

  let key = keys[row];
  let position = drawn_positions[row];
  var best = LOWEST;
  var token = NONE;
  // A lane takes four neighbouring tokens at a time: one Philox call has noise for four.
  for (var v = 4u * lane; v < params.vocabulary; v += 4u * REDUCE_LANES) {
    var noise = vec4(0.0);
    if (params.greedy == 0u) {
      let bits = philox(vec4(v / 4u, position, key.w, key.z), key.xy);
      noise = -log(-log(uniform_open(bits)));
    }
    for (var i = 0u; i < 4u && v + i < params.vocabulary; i++) {
      let z = z_at(base, v + i);
      let score = z + noise[i];
      if (ordered(z) >= threshold && (score > best || token == NONE)) {
        best = score;
        token = v + i;
      }
    }
  }
  best_scores[lane] = best;
  best_tokens[lane] = token;
  for (var half = REDUCE_LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      let score = best_scores[lane + half];
      let other = best_tokens[lane + half];
      if (score > best_scores[lane] || (score == best_scores[lane] && other < best_tokens[lane])) {
        best_scores[lane] = score;
        best_tokens[lane] = other;
      }
    }
  }
  if (lane == 0u && index < params.rows) {
    let at = params.step * params.rows + row;
    out_tokens[at] = best_tokens[0];
    out_logprobs[at] = z_at(base, min(best_tokens[0], params.vocabulary - 1u)) - row_lse;
  }
}

@compute @workgroup_size(64)
fn sample_advance(@builtin(global_invocation_id) gid: vec3<u32>) {
  let row = gid.x;
  if (row >= params.rows || done[row] == 1u) { return; }
  let token = drawn[params.step * params.rows + row];
  tokens[row] = token;
  positions[row] += 1u;
  var ended = positions[row] >= limits[row];
  for (var i = 0u; i < params.num_stops; i++) { ended = ended || token == stops[i]; }
  if (ended) { done[row] = 1u; }
}
