// The gated activation of the MLP: y = silu(gate) up, silu(z) = z sigmoid(z).
//
// gate and up are elem, everything else f32.
//
//   swiglu_forward   y            overwritten
//   swiglu_backward  dgate, dup   overwritten: dgate = dy up s (1 + gate (1 - s)), dup = dy gate s, s = sigmoid(gate)
//
// Parallelisation: an invocation a pair.

struct Params {
  pairs: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate: array<pair>;
@group(0) @binding(2) var<storage, read> up: array<pair>;
@group(0) @binding(3) var<storage, read_write> y: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> dy: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> dgate: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> dup: array<vec2<f32>>;

@compute @workgroup_size(64)
fn swiglu_forward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = linear_index(gid, groups, 64u);
  if (i >= params.pairs) { return; }
  let z = unpack(gate[i]);
  y[i] = z * sigmoid(z) * unpack(up[i]);
}

@compute @workgroup_size(64)
fn swiglu_backward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = linear_index(gid, groups, 64u);
  if (i >= params.pairs) { return; }
  let z = unpack(gate[i]);
  let s = sigmoid(z);
  dgate[i] = dy[i] * unpack(up[i]) * s * (1.0 + z * (1.0 - s));
  dup[i] = dy[i] * z * s;
}
