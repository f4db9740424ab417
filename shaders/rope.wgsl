// Rotary position embedding (Su et al. 2021) in Hugging Face's layout: element i is rotated with element i + D / 2.
//
//   rope   q, k   in place: (a, b) -> (a cos - b sin, b cos + a sin); with params.direction -1 the inverse, for gradients
//
// `table` holds, for each position, D / 2 cosines and then D / 2 sines, made on the host in float64: angles of tens of
// thousands of radians are beyond f32 sin and cos.
//
// Parallelisation: an invocation takes STEPS elements of a head's first half, evenly apart, and their partners in the second.
// A token's heads are those of q and then those of k.

struct Params {
  tokens: u32,
  heads: u32,
  kv_heads: u32,
  half: u32, // D / 2
  direction: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> q: array<f32>;
@group(0) @binding(2) var<storage, read_write> k: array<f32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> table: array<f32>;

const GROUP = 64u;
const STEPS = 4u;

fn turned(pair: vec2<f32>, angle: u32) -> vec2<f32> {
  return rotated(pair, table[angle], params.direction * table[angle + params.half]);
}

@compute @workgroup_size(GROUP)
fn rope(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = linear_index(gid, groups, GROUP);
  let stride = (params.half + STEPS - 1u) / STEPS;
  let per_token = params.heads + params.kv_heads;
  let token = index / stride / per_token;
  let head = index / stride % per_token;
  if (token >= params.tokens) { return; }
  let angles = positions[token] * 2u * params.half;
  for (var i = index % stride; i < params.half; i += stride) {
    if (head < params.heads) {
      let low = (token * params.heads + head) * 2u * params.half + i;
      let pair = turned(vec2(q[low], q[low + params.half]), angles + i);
      q[low] = pair.x;
      q[low + params.half] = pair.y;
    } else {
      let low = (token * params.kv_heads + head - params.heads) * 2u * params.half + i;
      let pair = turned(vec2(k[low], k[low + params.half]), angles + i);
      k[low] = pair.x;
      k[low + params.half] = pair.y;
    }
  }
}
