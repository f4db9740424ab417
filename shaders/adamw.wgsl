// One step of AdamW with decoupled weight decay, in the form of torch.optim.AdamW:
//
//   g = grad clip                        m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
//   value = value (1 - lr decay) - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
//   adamw_step                  master, means, variances             changed in place; the parameter is f32, its own master
//   adamw_step_param            master, means, variances, param      as above; param is overwritten with master, rounded
//   adamw_step_rounded          param, mean_pairs, variance_pairs    changed in place, all bf16, rounded stochastically
//   adamw_step_rounded_moments  master, mean_pairs, variance_pairs   as above, but the parameter is f32
//
// Stochastic rounding takes the bf16 number above or below with probabilities that make the result right in the mean, so
// that updates far smaller than a number's last bit add up (Ozkara et al., arXiv 2502.20566). Its random bits are a function
// of (seed, parameter, step, element). The step itself is computed in f32, before any rounding.
//
// The bias corrections and 1 - beta come from the host, computed in float64. Parallelisation: an invocation a pair.

struct Params {
  size: u32,
  decay: f32,         // 1 - lr weight_decay
  beta1: f32,
  one_minus_beta1: f32,
  beta2: f32,
  one_minus_beta2: f32,
  step_size: f32,     // lr / (1 - beta1^t)
  variance_scale: f32, // 1 / sqrt(1 - beta2^t)
  eps: f32,
  seed_low: u32,
  seed_high: u32,
  stream: u32,        // which parameter
  step: u32,          // t
  first: u32,         // element of the parameter that the tensors begin with, even
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> master: array<f32>;
@group(0) @binding(2) var<storage, read_write> means: array<f32>;
@group(0) @binding(3) var<storage, read_write> variances: array<f32>;
@group(0) @binding(4) var<storage, read> grad: array<f32>;
@group(0) @binding(5) var<storage, read> clip: array<f32>; // norm and coefficient, from grad-norm
@group(0) @binding(6) var<storage, read_write> param: array<pair>;
@group(0) @binding(7) var<storage, read_write> mean_pairs: array<pair>;
@group(0) @binding(8) var<storage, read_write> variance_pairs: array<pair>;

struct State {
  value: f32,
  mean: f32,
  variance: f32,
}

fn stepped(before: State, gradient: f32) -> State {
  let g = gradient * clip[1];
  let mean = params.beta1 * before.mean + params.one_minus_beta1 * g;
  let variance = params.beta2 * before.variance + params.one_minus_beta2 * g * g;
  let value = before.value * params.decay - params.step_size * mean / (sqrt(variance) * params.variance_scale + params.eps);
  return State(value, mean, variance);
}

fn step_one(i: u32) -> f32 {
  let after = stepped(State(master[i], means[i], variances[i]), grad[i]);
  means[i] = after.mean;
  variances[i] = after.variance;
  master[i] = after.value;
  return after.value;
}

// Steps both elements of a pair; a size may be odd.
fn step_pair(i: u32) -> vec2<f32> {
  var values = vec2(step_one(i), 0.0);
  if (i + 1u < params.size) { values.y = step_one(i + 1u); }
  return values;
}

@compute @workgroup_size(64)
fn adamw_step(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = 2u * linear_index(gid, groups, 64u);
  if (i < params.size) { step_pair(i); }
}

@compute @workgroup_size(64)
fn adamw_step_param(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = 2u * linear_index(gid, groups, 64u);
  if (i < params.size) { param[i / 2u] = pack(step_pair(i)); }
}

// Last word of these draws' counters, which no other use of the seed has.
const ROUNDING = 0xffffffffu;

// Random bits of a pair: x for m, y for v, z for the parameter, the low half of each for the even element.
fn rounding_noise(pair_index: u32) -> vec4<u32> {
  let counter = vec4(params.first / 2u + pair_index, params.stream, params.step, ROUNDING);
  return philox4x32(counter, vec2(params.seed_low, params.seed_high));
}

// To bf16, as f32: away from zero with the probability of the part of the last bit that is cut off. NaN stays NaN.
fn round_stochastically(x: vec2<f32>, noise: u32) -> vec2<f32> {
  let bits = bitcast<vec2<u32>>(x);
  let rounded = (bits + vec2(noise & 0xffffu, noise >> 16u)) & vec2(0xffff0000u);
  return bitcast<vec2<f32>>(select(rounded, bits, (bits & vec2(0x7fffffffu)) > vec2(0x7f800000u)));
}

// Steps both elements of a pair, `values` before it; moments are rounded and stored, the values after it returned as they are.
fn step_pair_rounded(i: u32, values: vec2<f32>, noise: vec4<u32>) -> vec2<f32> {
  let m = unpack(mean_pairs[i / 2u]);
  let v = unpack(variance_pairs[i / 2u]);
  let even = stepped(State(values.x, m.x, v.x), grad[i]);
  var odd = State(0.0, 0.0, 0.0);
  if (i + 1u < params.size) { odd = stepped(State(values.y, m.y, v.y), grad[i + 1u]); }
  mean_pairs[i / 2u] = pack(round_stochastically(vec2(even.mean, odd.mean), noise.x));
  variance_pairs[i / 2u] = pack(round_stochastically(vec2(even.variance, odd.variance), noise.y));
  return vec2(even.value, odd.value);
}

@compute @workgroup_size(64)
fn adamw_step_rounded(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = 2u * linear_index(gid, groups, 64u);
  if (i >= params.size) { return; }
  let noise = rounding_noise(i / 2u);
  let values = step_pair_rounded(i, unpack(param[i / 2u]), noise);
  param[i / 2u] = pack(round_stochastically(values, noise.z));
}

@compute @workgroup_size(64)
fn adamw_step_rounded_moments(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = 2u * linear_index(gid, groups, 64u);
  if (i >= params.size) { return; }
  let has_odd = i + 1u < params.size;
  let values = vec2(master[i], select(0.0, master[min(i + 1u, params.size - 1u)], has_odd));
  let after = step_pair_rounded(i, values, rounding_noise(i / 2u));
  master[i] = after.x;
  if (has_odd) { master[i + 1u] = after.y; }
}
