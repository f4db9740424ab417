// Losses on log-probabilities, and their gradient with respect to the logits.
//
//   policy_gradient_loss  loss, ratio, coefficient  overwritten
//   sequence_ratio        ratio                     overwritten, before the loss: one a sequence
//   sequence_coefficient  coefficient               averaged over each sequence, after the loss; the KL term's is added
//   cross_entropy_loss    loss, coefficient         overwritten: loss = -w logprob, coefficient = -w
//   preference_loss       loss, coefficient, margin overwritten: direct preference optimisation
//   policy_gradient_dlogits  logits                 a chunk of the vocabulary, turned in place into d loss / d logits
//
// The clipped policy gradient (PPO, Schulman et al. 2017, equation 7) with an optional KL term. Per token, with the ratio
// r = exp(logprob - old), advantage A, d = logprob - ref and the token's weight w in the mean over all tokens:
//
//   loss        = w (-min(min(r, delta) A, clip(r, 1 - epsilon, 1 + epsilon_high) A) + beta kl(d))
//   coefficient = d loss / d logprob = w (-[r <= delta and r A <= clip(r) A] r A + beta kl'(d))
//   k1: kl = d, kl' = 1    k2: kl = d^2 / 2, kl' = d    k3: kl = exp(-d) - 1 + d, kl' = 1 - exp(-d)
//
// Where r lies within the range, ends included, both sides of the minimum are equal and the gradient passes, as in PyTorch.
// Tokens of weight 0 have loss 0, coefficient 0 and ratio 1, whatever their other inputs hold.
//
// CISPO (MiniMax-M1, 2025) holds the ratio, capped at epsilon_high itself, constant:  loss = w (-min(r, cap) A logprob + beta kl(d)).
//
// A ratio a sequence (GSPO, Zheng et al. 2025) is exp of the mean of logprob - old over its n trained tokens. Every one of them
// moves it, so their coefficients but for the KL term's become the sum over the sequence / n. With CISPO, whose ratio is constant,
// each keeps its own.
//
// Preferences, for pair p of a chosen and a rejected response, that is, sequences 2p and 2p + 1 of the batch. A token's weight s is
// its share in its response's sum, and w the pair's: with s = 1 and gamma = 0 direct preference optimisation (Rafailov et al. 2023,
// equation 7), with s = 1 / the response's tokens and ref = 0 SimPO (Meng et al. 2024, equation 6):
//
//   margin      = beta (sum_chosen s d - sum_rejected s d)
//   loss        = -w log sigmoid(margin - gamma), given to the pair's first row
//   coefficient = -w s beta sigmoid(gamma - margin) in the chosen response, the opposite in the rejected one
//
//   d loss / d logits = coefficient (onehot(target) - p) / temperature,  p = exp(logits / temperature - lse)
//
// Parallelisation: losses, an invocation a token; preferences and ratios of sequences, a workgroup of 64 lanes a pair or a
// sequence; dlogits, one a row.

struct Params {
  rows: u32,
  columns: u32, // of logits
  column0: u32, // the vocabulary's index of their first column
  inverse_temperature: f32,
  ratio_low: f32,  // 1 - epsilon
  ratio_high: f32, // 1 + epsilon_high
  ratio_cap: f32,  // delta; for CISPO the cap
  cispo: u32,
  per_sequence: u32, // ratio holds the sequences' already
  beta: f32,
  kl_estimator: u32, // 0 none, otherwise k1, k2, k3
  pair_weight: f32,
  gamma: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logprob: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> advantages: array<f32>;
@group(0) @binding(4) var<storage, read> old_logprobs: array<f32>;
@group(0) @binding(5) var<storage, read> ref_logprobs: array<f32>;
@group(0) @binding(6) var<storage, read_write> loss: array<f32>;
@group(0) @binding(7) var<storage, read_write> ratio: array<f32>;
@group(0) @binding(8) var<storage, read_write> coefficient: array<f32>;
@group(0) @binding(9) var<storage, read> targets: array<u32>;
@group(0) @binding(10) var<storage, read> lse: array<f32>;
@group(0) @binding(11) var<storage, read_write> logits: array<f32>;
@group(0) @binding(12) var<storage, read> bounds: array<u32>; // first rows of the sequences, and the end of the last
@group(0) @binding(13) var<storage, read_write> margin: array<f32>;

// kl(d) and its derivative.
fn kl(d: f32) -> vec2<f32> {
  switch params.kl_estimator {
    case 1u: { return vec2(d, 1.0); }
    case 2u: { return vec2(0.5 * d * d, d); }
    case 3u: { return vec2(exp_f32(-d) - 1.0 + d, 1.0 - exp_f32(-d)); }
    default: { return vec2(0.0); }
  }
}

@compute @workgroup_size(64)
fn policy_gradient_loss(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let t = linear_index(gid, groups, 64u);
  if (t >= params.rows) { return; }
  let w = weights[t];
  if (w == 0.0) {
    loss[t] = 0.0;
    ratio[t] = 1.0;
    coefficient[t] = 0.0;
    return;
  }
  var r = ratio[t];
  if (params.per_sequence == 0u) { r = exp_f32(logprob[t] - old_logprobs[t]); }
  let penalty = params.beta * kl(logprob[t] - ref_logprobs[t]);
  ratio[t] = r;
  if (params.cispo == 1u) {
    let held = min(r, params.ratio_cap) * advantages[t];
    loss[t] = w * (penalty.x - held * logprob[t]);
    coefficient[t] = w * (penalty.y - held);
    return;
  }
  let unclipped = min(r, params.ratio_cap) * advantages[t];
  let clipped = clamp(r, params.ratio_low, params.ratio_high) * advantages[t];
  loss[t] = w * (penalty.x - min(unclipped, clipped));
  let passes = unclipped <= clipped && r <= params.ratio_cap;
  // Of a ratio a sequence, sequence_coefficient adds the penalty's after the mean.
  let direct = select(penalty.y, 0.0, params.per_sequence == 1u);
  coefficient[t] = w * (direct - select(0.0, unclipped, passes));
}

var<workgroup> lane_counts: array<u32, 64>;
var<workgroup> lane_sums: array<f32, 64>;

// The sum of all lanes' values and of their counts, in the order of the lanes.
fn lanes_total(lane: u32, value: f32, count: u32) -> vec2<f32> {
  lane_sums[lane] = value;
  lane_counts[lane] = count;
  workgroupBarrier();
  var total = 0.0;
  var counted = 0u;
  for (var i = 0u; i < 64u; i++) {
    total += lane_sums[i];
    counted += lane_counts[i];
  }
  return vec2(total, f32(counted));
}

@compute @workgroup_size(64)
fn sequence_ratio(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let sequence = linear_group(wid, groups);
  if (sequence >= params.rows) { return; }
  let start = bounds[sequence];
  let end = bounds[sequence + 1u];
  var sum = 0.0;
  var count = 0u;
  for (var t = start + lane; t < end; t += 64u) {
    if (weights[t] != 0.0) {
      sum += logprob[t] - old_logprobs[t];
      count++;
    }
  }
  let total = lanes_total(lane, sum, count);
  let r = exp_f32(total.x / max(total.y, 1.0));
  for (var t = start + lane; t < end; t += 64u) { ratio[t] = r; }
}

@compute @workgroup_size(64)
fn sequence_coefficient(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let sequence = linear_group(wid, groups);
  if (sequence >= params.rows) { return; }
  let start = bounds[sequence];
  let end = bounds[sequence + 1u];
  var sum = 0.0;
  var count = 0u;
  for (var t = start + lane; t < end; t += 64u) {
    if (weights[t] != 0.0) {
      sum += coefficient[t];
      count++;
    }
  }
  let total = lanes_total(lane, sum, count);
  let share = total.x / max(total.y, 1.0);
  for (var t = start + lane; t < end; t += 64u) {
    let w = weights[t];
    if (w != 0.0) { coefficient[t] = share + w * params.beta * kl(logprob[t] - ref_logprobs[t]).y; }
  }
}

@compute @workgroup_size(64)
fn cross_entropy_loss(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let t = linear_index(gid, groups, 64u);
  if (t >= params.rows) { return; }
  let w = weights[t];
  loss[t] = select(-w * logprob[t], 0.0, w == 0.0);
  coefficient[t] = -w;
}

@compute @workgroup_size(64)
fn preference_loss(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let pair_index = linear_group(wid, groups);
  if (pair_index >= params.rows) { return; }
  let start = bounds[2u * pair_index];
  let split = bounds[2u * pair_index + 1u];
  let end = bounds[2u * pair_index + 2u];
  var sum = 0.0;
  for (var t = start + lane; t < end; t += 64u) {
    if (weights[t] != 0.0) { sum += select(-weights[t], weights[t], t < split) * (logprob[t] - ref_logprobs[t]); }
  }
  lane_sums[lane] = sum;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < 64u; i++) { total += lane_sums[i]; }
  let preferred = params.beta * total;
  let m = preferred - params.gamma;
  let e = exp_f32(-abs(m));
  let sigmoid_of_minus = select(1.0, e, m >= 0.0) / (1.0 + e);
  for (var t = start + lane; t < end; t += 64u) {
    coefficient[t] = select(1.0, -1.0, t < split) * weights[t] * params.pair_weight * params.beta * sigmoid_of_minus;
    loss[t] = 0.0;
  }
  if (lane == 0u) {
    loss[start] = params.pair_weight * (max(-m, 0.0) + log(1.0 + e));
    margin[pair_index] = preferred;
  }
}

@compute @workgroup_size(64)
fn policy_gradient_dlogits(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = linear_group(wid, groups);
  if (row >= params.rows) { return; }
  let scale = coefficient[row] * params.inverse_temperature;
  let normalizer = lse[row];
  let target_column = targets[row] - params.column0; // beyond the columns, or wrapped around, in all chunks but one
  for (var column = lane; column < params.columns; column += 64u) {
    let at = row * params.columns + column;
    logits[at] = dlogit(logits[at], params.inverse_temperature, normalizer, scale, column == target_column);
  }
}
