// Softmax over rows, for comparison with other libraries: nothing in the engine holds the probabilities of a row.
//
//   softmax_forward   y   overwritten
//
// Parallelisation: a workgroup of 64 lanes a row.

@compute @workgroup_size(REDUCE_LANES)
fn softmax_forward(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = linear_group(wid, groups);
  if (row >= params.rows) { return; }
  let fours = params.columns / 4u;
  let start = row * fours;
  let largest = workgroup_max(lane_max(start, lane, REDUCE_LANES, fours), lane);
  let sum = workgroup_sum(lane_sum(start, lane, REDUCE_LANES, fours, largest), lane);
  lane_store(start, lane, REDUCE_LANES, fours, largest, sum);
}
