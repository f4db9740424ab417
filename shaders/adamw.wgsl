// One step of AdamW with decoupled weight decay, in the form of torch.optim.AdamW:
//
//   g = grad clip                        m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
//   master = master (1 - lr decay) - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
//   adamw_step        master, m, v          changed in place; the parameter is f32 and its own master
//   adamw_step_param  master, m, v, param   as above; param is overwritten with master, rounded to its storage
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
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> master: array<f32>;
@group(0) @binding(2) var<storage, read_write> m: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read> grad: array<f32>;
@group(0) @binding(5) var<storage, read> clip: array<f32>; // norm and coefficient, from grad-norm
@group(0) @binding(6) var<storage, read_write> param: array<pair>;

fn step_one(i: u32) -> f32 {
  let g = grad[i] * clip[1];
  let mean = params.beta1 * m[i] + params.one_minus_beta1 * g;
  let variance = params.beta2 * v[i] + params.one_minus_beta2 * g * g;
  let value = master[i] * params.decay - params.step_size * mean / (sqrt(variance) * params.variance_scale + params.eps);
  m[i] = mean;
  v[i] = variance;
  master[i] = value;
  return value;
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
