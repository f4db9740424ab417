enable subgroups;

// The root-mean-square norm where invocations of a subgroup can read each other's registers: rmsnorm_forward and
// rmsnorm_backward of rmsnorm.wgsl without its barrier, with every sum in the same order, and so the same bits.
//
// Parallelisation: 8 invocations take a row (lib/rmsnorm-row.wgsl); a workgroup is one subgroup.

override LANES = 32u; // the host sets the adapter's smallest size of a subgroup

// The row of this invocation, and where it starts; a row past the end has no pairs.
struct Place {
  row: u32,
  lane: u32,
  pairs: u32,
  start: u32,
}

fn place(group: u32, lane: u32) -> Place {
  let row = group * (LANES / ROW_LANES) + lane / ROW_LANES;
  let pairs = select(0u, params.columns / 2u, row < params.rows);
  return Place(row, lane % ROW_LANES, pairs, row * pairs);
}

fn norm_pair(at: u32) -> vec2<f32> { return x[at]; }

@compute @workgroup_size(LANES)
fn rmsnorm_forward(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let at = place(linear_group(wid, groups), lane);
  let scale = row_rstd(lane, at.start, at.pairs, params.columns, params.eps);
  for (var p = at.lane; p < at.pairs; p += ROW_LANES) { y[at.start + p] = x[at.start + p] * scale * unpack(weight[p]); }
  if (at.lane == 0u && at.row < params.rows) { rstd[at.row] = scale; }
}

fn product(at: Place, p: u32, scale: f32) -> f32 {
  return dot(dy[at.start + p] * unpack(weight[p]), x[at.start + p] * scale);
}

@compute @workgroup_size(LANES)
fn rmsnorm_backward(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let at = place(linear_group(wid, groups), lane);
  var scale = 0.0;
  if (at.row < params.rows) { scale = saved_rstd[at.row]; }
  var products = vec2(0.0);
  for (var p = at.lane; p < at.pairs; p += 2u * ROW_LANES) {
    products.x += product(at, p, scale);
    if (p + ROW_LANES < at.pairs) { products.y += product(at, p + ROW_LANES, scale); }
  }
  let mean = row_sum(lane, products) / f32(params.columns);

  for (var p = at.lane; p < at.pairs; p += ROW_LANES) {
    let i = at.start + p;
    let value = scale * (dy[i] * unpack(weight[p]) - x[i] * scale * mean);
    if (params.accumulate == 0u) { dx[i] = value; } else { dx[i] += value; }
  }
}
