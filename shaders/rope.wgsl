// Rotary position embedding (Su et al. 2021) in Hugging Face's layout: element i is rotated with element i + D / 2.
//
//   rope   x   in place: (a, b) -> (a cos - b sin, b cos + a sin); with params.direction -1 the inverse, for gradients
//
// `table` holds, for each position, D / 2 cosines and then D / 2 sines, made on the host in float64: angles of tens of
// thousands of radians are beyond f32 sin and cos.
//
// Parallelisation: an invocation an element of a head's first half and its partner in the second.

struct Params {
  heads: u32, // tokens * heads per token
  per_token: u32,
  half: u32, // D / 2
  direction: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
@group(0) @binding(3) var<storage, read> table: array<f32>;

const GROUP = 64u;

@compute @workgroup_size(GROUP)
fn rope(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = linear_index(gid, groups, GROUP);
  let head = index / params.half;
  if (head >= params.heads) { return; }
  let i = index % params.half;
  let angle = positions[head / params.per_token] * 2u * params.half + i;
  let cosine = table[angle];
  let sine = params.direction * table[angle + params.half];
  let low = head * 2u * params.half + i;
  let a = x[low];
  let b = x[low + params.half];
  x[low] = a * cosine - b * sine;
  x[low + params.half] = b * cosine + a * sine;
}
