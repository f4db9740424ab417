// Log-probabilities of tokens, a chunk of the vocabulary at a time: with z = logits / temperature,
//
//   lse = log(sum exp z),  logprob = z[target] - lse,  entropy = lse - sum p z.
//
//   logprob_partial    logits, partials  logits are divided by the temperature in place; partials of their chunks overwritten
//   logprob_normalize  lse, entropy      overwritten
//   logprob_gather     logprob           overwritten with z[target] in the rows whose target lies in this piece
//   logprob_finish     logprob           lse is subtracted
//
// Parallelisation: partial, a workgroup of 32 lanes for VOCAB_CHUNK columns of a row; the others, an invocation a row.
//
// The sampler and the trainer run the same entry points on the same chunks of VOCAB_CHUNK columns, whether the logits lie
// there chunk by chunk or whole, and every sum has one order: the same hidden state has the same bits of lse on both sides.
// z is rounded to memory before anything is subtracted from it, so that no compiler can fuse the multiplication with the
// subtraction on one side only.

struct Params {
  rows: u32,
  columns: u32, // of logits
  column0: u32, // the vocabulary's index of their first column, a multiple of VOCAB_CHUNK
  chunks: u32,  // of the whole vocabulary
  inverse_temperature: f32,
}

// Of one chunk of a row: largest = max z, sum = sum exp(z - largest), shifted = sum (z - largest) exp(z - largest).
struct Partial {
  largest: f32,
  sum: f32,
  shifted: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<Partial>;
@group(0) @binding(3) var<storage, read> targets: array<u32>;
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;
@group(0) @binding(5) var<storage, read_write> entropy: array<f32>;
@group(0) @binding(6) var<storage, read_write> logprob: array<f32>;

const VOCAB_CHUNK = 2048u; // as in src/kernels/logprob.ts
const LOWEST = -3.4028234e38;

const LANES = 32u;
const REDUCERS = 8u; // lanes
var<workgroup> lane_largest: array<f32, LANES>;
var<workgroup> lane_sums: array<vec2<f32>, LANES>;

@compute @workgroup_size(LANES)
fn logprob_partial(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let pieces = (params.columns + VOCAB_CHUNK - 1u) / VOCAB_CHUNK;
  let row = linear_group(wid, groups) / pieces;
  let piece = linear_group(wid, groups) % pieces;
  if (row >= params.rows) { return; }
  let start = row * params.columns + piece * VOCAB_CHUNK;
  let end = row * params.columns + min((piece + 1u) * VOCAB_CHUNK, params.columns);

  var largest = LOWEST;
  for (var i = start + lane; i < end; i += LANES) {
    let z = logits[i] * params.inverse_temperature;
    if (params.inverse_temperature != 1.0) { logits[i] = z; }
    largest = max(largest, z);
  }
  // In two steps, for every lane needs it: 8 lanes look at four numbers each, then all at eight.
  lane_largest[lane] = largest;
  workgroupBarrier();
  if (lane < REDUCERS) {
    for (var i = lane + REDUCERS; i < LANES; i += REDUCERS) { largest = max(largest, lane_largest[i]); }
    lane_largest[lane] = largest;
  }
  workgroupBarrier();
  for (var i = 0u; i < REDUCERS; i++) { largest = max(largest, lane_largest[i]); }

  var sums = vec2(0.0); // sum, shifted
  for (var i = start + lane; i < end; i += LANES) {
    let shift = logits[i] - largest;
    sums += exp_f32(shift) * vec2(1.0, shift);
  }
  lane_sums[lane] = sums;
  workgroupBarrier();
  if (lane > 0u) { return; }
  for (var i = 1u; i < LANES; i++) { sums += lane_sums[i]; }
  partials[row * params.chunks + params.column0 / VOCAB_CHUNK + piece] = Partial(largest, sums.x, sums.y);
}

@compute @workgroup_size(64)
fn logprob_normalize(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_index(gid, groups, 64u);
  if (row >= params.rows) { return; }
  let start = row * params.chunks;
  let end = start + params.chunks;
  var largest = LOWEST;
  for (var i = start; i < end; i++) { largest = max(largest, partials[i].largest); }
  var sum = 0.0;
  var shifted = 0.0;
  for (var i = start; i < end; i++) {
    let part = partials[i];
    let shift = part.largest - largest;
    let factor = exp_f32(shift);
    sum += factor * part.sum;
    shifted += factor * (part.shifted + shift * part.sum);
  }
  lse[row] = largest + log_f32(sum);
  entropy[row] = log_f32(sum) - shifted / sum;
}

@compute @workgroup_size(64)
fn logprob_gather(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_index(gid, groups, 64u);
  if (row >= params.rows) { return; }
  let target_column = targets[row] - params.column0; // wraps around below column0
  if (target_column < params.columns) { logprob[row] = logits[row * params.columns + target_column]; }
}

@compute @workgroup_size(64)
fn logprob_finish(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear_index(gid, groups, 64u);
  if (row < params.rows) { logprob[row] -= lse[row]; }
}
