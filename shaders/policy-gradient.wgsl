// The gradient of the losses at the head, given each token's log-probability.
//
//   policy_loss      loss, ratio, coefficient   overwritten. r = exp(logprob - old); loss = w (-min(r A, clip(r) A) + beta kl(d)),
//                                               d = logprob - ref; coefficient = d loss / d logprob
//   supervised_loss  loss, coefficient          overwritten: -w logprob and -w
//   logits_gradient  logits                     in place: logits become d loss / d logits = coefficient (onehot - softmax) / temperature
//
// Parallelisation: an invocation per token, and per logit in logits_gradient.

struct Params {
  rows: u32,
  columns: u32, // of this chunk of the vocabulary
  first: u32,   // vocabulary index of its first column
  kl_estimator: u32, // 0 none, 1 k1, 2 k2, 3 k3 (Schulman, "Approximating KL divergence", 2020)
  epsilon: f32,
  beta: f32,
  inverse_temperature: f32,
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
@group(0) @binding(9) var<storage, read_write> logits: array<f32>;
@group(0) @binding(10) var<storage, read> lse: array<f32>;
@group(0) @binding(11) var<storage, read> targets: array<u32>;
@group(0) @binding(12) var<storage, read> saved_coefficient: array<f32>;

const GROUP = 64u;

// Value of the estimator at d and its derivative.
fn kl(d: f32) -> vec2<f32> {
  switch params.kl_estimator {
    case 1u: { return vec2(d, 1.0); }
    case 2u: { return vec2(0.5 * d * d, d); }
    case 3u: { return vec2(exp(-d) - 1.0 + d, 1.0 - exp(-d)); }
    default: { return vec2(0.0); }
  }
}

@compute @workgroup_size(GROUP)
fn policy_loss(@builtin(global_invocation_id) gid: vec3<u32>) {
  let t = gid.x;
  if (t >= params.rows) { return; }
  let weight = weights[t];
  if (weight == 0.0) { // not trained: its log-probabilities may be anything
    loss[t] = 0.0;
    ratio[t] = 1.0;
    coefficient[t] = 0.0;
    return;
  }
  let r = exp(logprob[t] - old_logprobs[t]);
  let advantage = advantages[t];
  let free = r * advantage;
  let clipped = clamp(r, 1.0 - params.epsilon, 1.0 + params.epsilon) * advantage;
  // Where the clipped term is the smaller one, it is constant.
  let slope = select(0.0, free, free <= clipped);
  let penalty = kl(logprob[t] - ref_logprobs[t]);
  loss[t] = weight * (params.beta * penalty.x - min(free, clipped));
  ratio[t] = r;
  coefficient[t] = weight * (params.beta * penalty.y - slope);
}

@compute @workgroup_size(GROUP)
fn supervised_loss(@builtin(global_invocation_id) gid: vec3<u32>) {
  let t = gid.x;
  if (t >= params.rows) { return; }
  let weight = weights[t];
  loss[t] = select(0.0, -weight * logprob[t], weight != 0.0);
  coefficient[t] = -weight;
}

@compute @workgroup_size(GROUP)
fn logits_gradient(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = linear_index(gid, groups, GROUP);
  let t = index / params.columns;
  if (t >= params.rows) { return; }
  let c = saved_coefficient[t] * params.inverse_temperature;
  let p = exp(logits[index] * params.inverse_temperature - lse[t]);
  let hit = select(0.0, 1.0, targets[t] - params.first == index % params.columns);
  logits[index] = select(c * (hit - p), 0.0, c == 0.0);
}
