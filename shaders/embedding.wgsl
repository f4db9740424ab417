// Rows of the embedding table [vocabulary, columns], one for each token.
//
//   embedding_forward   out       overwritten where the id is among the rows at hand: out[t] = weight[ids[t]], widened to f32
//   embedding_backward  dweight   added to: dweight[id] += the sum of dout[t] over all t with ids[t] = id
//
// Parallelisation: an invocation a pair of one token. Backward, a token whose id occurred before does nothing; the first
// occurrence walks the list of the later ones (linkOccurrences in src/kernels/embedding.ts) and adds them up in order: no
// atomics, the same bits every time, and no more work than dout has numbers.

struct Params {
  tokens: u32,
  columns: u32, // even
  // The rows of the table that weight and dweight hold.
  first: u32,
  rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> weight: array<pair>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> links: array<u32>;
@group(0) @binding(5) var<storage, read> dout: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> dweight: array<vec2<f32>>;

const FIRST = 0x80000000u; // set where an id occurs for the first time
const NEXT = 0x7fffffffu;  // the other bits: where it occurs next; all of them set at the last occurrence

@compute @workgroup_size(64)
fn embedding_forward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = linear_index(gid, groups, 64u);
  let pairs = params.columns / 2u;
  let t = i / pairs;
  if (t >= params.tokens) { return; }
  let row = ids[t] - params.first; // wraps around below it
  if (row < params.rows) { out[i] = unpack(weight[row * pairs + i % pairs]); }
}

@compute @workgroup_size(64)
fn embedding_backward(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = linear_index(gid, groups, 64u);
  let pairs = params.columns / 2u;
  let p = i % pairs;
  var t = i / pairs;
  if (t >= params.tokens || (links[t] & FIRST) == 0u) { return; }

  let row = ids[t] - params.first;
  if (row >= params.rows) { return; }
  let at = row * pairs + p;
  var sum = vec2(0.0);
  while (t != NEXT) {
    sum += dout[t * pairs + p];
    t = links[t] & NEXT;
  }
  dweight[at] += sum;
}
