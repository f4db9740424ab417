// Rotary position embedding (Su et al. 2021) in Hugging Face's layout: element i is rotated with element i + D / 2.
//
//   rope_forward   x    in place: (a, b) -> (a cos - b sin, b cos + a sin)
//   rope_backward  dx   in place: the inverse rotation
//
// `table` holds, for each position, D / 2 cosines and then D / 2 sines, made on the host in float64: angles of tens of
// thousands of radians are beyond f32 sin and cos.
//
// Parallelisation: an invocation per pair of elements and its partner elements, D / 2 apart; where D / 2 is odd these lie in
// two pairs each, so an invocation takes a whole head instead.

struct Params {
  heads: u32, // tokens * heads per token
  per_token: u32,
  half: u32, // D / 2
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<pair>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> table: array<f32>;

const GROUP = 64u;

fn angle(head: u32, i: u32) -> vec2<f32> {
  let at = positions[head / params.per_token] * 2u * params.half + i;
  return vec2(table[at], table[at + params.half]);
}

@compute @workgroup_size(GROUP)
fn rope_forward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let pairs = params.half / 2u;
  let index = linear_index(gid, groups, GROUP);
  let head = index / pairs;
  if (head >= params.heads) { return; }
  let p = index % pairs;
  let low = head * params.half + p;
  let a = unpack(x[low]);
  let b = unpack(x[low + pairs]);
  let first = angle(head, 2u * p);
  let second = angle(head, 2u * p + 1u);
  let cosine = vec2(first.x, second.x);
  let sine = vec2(first.y, second.y);
  x[low] = pack(a * cosine - b * sine);
  x[low + pairs] = pack(b * cosine + a * sine);
}

fn element(head: u32, i: u32) -> f32 {
  let values = unpack(x[head * params.half + i / 2u]);
  return select(values.x, values.y, i % 2u == 1u);
}

fn set_element(head: u32, i: u32, value: f32) {
  let at = head * params.half + i / 2u;
  let values = unpack(x[at]);
  x[at] = pack(select(vec2(value, values.y), vec2(values.x, value), i % 2u == 1u));
}

@compute @workgroup_size(GROUP)
fn rope_forward_odd(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let head = linear_index(gid, groups, GROUP);
  if (head >= params.heads) { return; }
  for (var i = 0u; i < params.half; i++) {
    let turn = angle(head, i);
    let a = element(head, i);
    let b = element(head, i + params.half);
    set_element(head, i, a * turn.x - b * turn.y);
    set_element(head, i + params.half, b * turn.x + a * turn.y);
  }
}

@compute @workgroup_size(GROUP)
fn rope_backward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = linear_index(gid, groups, GROUP);
  let head = index / params.half;
  if (head >= params.heads) { return; }
  let i = index % params.half;
  let low = head * 2u * params.half + i;
  let turn = angle(head, i);
  let a = dx[low];
  let b = dx[low + params.half];
  dx[low] = a * turn.x + b * turn.y;
  dx[low + params.half] = b * turn.x - a * turn.y;
}
