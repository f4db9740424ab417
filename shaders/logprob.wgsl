// Log-probability and entropy of a softmax over a vocabulary that is seen in chunks.
//
//   z = logits * inverse_temperature,  lse = log sum_v exp(z_v),  logprob = z_target - lse,  entropy = lse - E[z]
//
//   logprob_update   state                   first chunk: overwritten, later ones: merged (online softmax)
//   logprob_finish   logprob, lse, entropy   overwritten
//   logprob_lse      lse                     overwritten: the finish of the sampler, which has no target yet
//
// `state` is per row: largest z, sum exp(z - largest), sum z exp(z - largest), z of the target.
// Parallelisation: update takes a workgroup a row; the chunks' boundaries and the order within a chunk are fixed, so that the
// sampler and the trainer get the same bits. The finishes take an invocation a row.

struct Params {
  rows: u32,
  stride: u32, // of `logits`, between rows
  offset: u32, // of the chunk within a row of `logits`
  columns: u32, // of this chunk
  first: u32,  // vocabulary index of the chunk's first column
  inverse_temperature: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> state: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> logprob: array<f32>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<storage, read_write> entropy: array<f32>;

const LOWEST = -3.4e38;

fn update(row: u32, lane: u32) -> vec4<f32> {
  let base = row * params.stride + params.offset;
  var previous = vec4(LOWEST, 0.0, 0.0, 0.0);
  if (params.first > 0u) { previous = state[row]; }

  var local_max = LOWEST;
  for (var c = lane; c < params.columns; c += REDUCE_LANES) {
    local_max = max(local_max, logits[base + c] * params.inverse_temperature);
  }
  let largest = max(previous.x, workgroup_max(local_max, lane));
  var local_sum = 0.0;
  var local_weighted = 0.0;
  for (var c = lane; c < params.columns; c += REDUCE_LANES) {
    let z = logits[base + c] * params.inverse_temperature;
    let e = exp(z - largest);
    local_sum += e;
    local_weighted = fma(e, z, local_weighted);
  }
  let sum = workgroup_sum(local_sum, lane);
  let weighted = workgroup_sum(local_weighted, lane);
  let shrink = exp(previous.x - largest);
  return vec4(largest, fma(previous.y, shrink, sum), fma(previous.z, shrink, weighted), previous.w);
}

@compute @workgroup_size(REDUCE_LANES)
fn logprob_update(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = linear_group(wid, groups);
  // Rows beyond the end repeat the last one, so that every invocation meets the barriers.
  var merged = update(min(row, params.rows - 1u), lane);
  if (lane > 0u || row >= params.rows) { return; }
  let column = targets[row] - params.first; // wraps round to a large number below the chunk
  if (column < params.columns) {
    merged.w = logits[row * params.stride + params.offset + column] * params.inverse_temperature;
  }
  state[row] = merged;
}

// The same without a target.
@compute @workgroup_size(REDUCE_LANES)
fn logprob_update_lse(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = linear_group(wid, groups);
  let merged = update(min(row, params.rows - 1u), lane);
  if (lane == 0u && row < params.rows) { state[row] = merged; }
}

@compute @workgroup_size(64)
fn logprob_finish(@builtin(global_invocation_id) gid: vec3<u32>) {
  if (gid.x >= params.rows) { return; }
  let s = state[gid.x];
  let row_lse = s.x + log(s.y);
  lse[gid.x] = row_lse;
  logprob[gid.x] = s.w - row_lse;
  entropy[gid.x] = row_lse - s.z / s.y;
}

@compute @workgroup_size(64)
fn logprob_lse(@builtin(global_invocation_id) gid: vec3<u32>) {
  if (gid.x >= params.rows) { return; }
  let s = state[gid.x];
  lse[gid.x] = s.x + log(s.y);
}
