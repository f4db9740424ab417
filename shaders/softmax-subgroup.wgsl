enable subgroups;

// Softmax over rows where invocations of a subgroup can read each other's registers.
//
// Parallelisation: 8 invocations a row; a workgroup is one subgroup.

override LANES = 32u; // the host sets the adapter's smallest size of a subgroup
const ROW_LANES = 8u;

@compute @workgroup_size(LANES)
fn softmax_forward(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) invocation: u32,
) {
  let row = linear_group(wid, groups) * (LANES / ROW_LANES) + invocation / ROW_LANES;
  let lane = invocation % ROW_LANES;
  let fours = select(0u, params.columns / 4u, row < params.rows);
  let start = row * fours;
  var largest = lane_max(start, lane, ROW_LANES, fours);
  for (var mask = 1u; mask < ROW_LANES; mask *= 2u) { largest = max(largest, subgroupShuffleXor(largest, mask)); }
  var sum = lane_sum(start, lane, ROW_LANES, fours, largest);
  for (var mask = 1u; mask < ROW_LANES; mask *= 2u) { sum += subgroupShuffleXor(sum, mask); }
  lane_store(start, lane, ROW_LANES, fours, largest, sum);
}
