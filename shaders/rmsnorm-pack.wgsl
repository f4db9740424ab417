enable subgroups;

// The root-mean-square norm's rows as operands of products: what rmsnorm_forward of rmsnorm-subgroup.wgsl gives, to its bits, each row
// scaled and rounded as linear_pack of linear-pack.wgsl does, without the rows in f32 between them.
//
//   rmsnorm_pack   packed, exponents, rstd   overwritten
//
// Parallelisation: 8 invocations take a row (lib/rmsnorm-row.wgsl) and go through it three times: for its norm, its largest
// magnitude, and to convert it; a workgroup is one subgroup.

override LANES = 32u; // the host sets the adapter's smallest size of a subgroup

@group(0) @binding(9) var<storage, read_write> packed: array<PairWords>;
@group(0) @binding(10) var<storage, read_write> exponents: array<i32>;

fn norm_pair(at: u32) -> vec2<f32> { return x[at]; }

@compute @workgroup_size(LANES)
fn rmsnorm_pack(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) invocation: u32,
) {
  let row = linear_group(wid, groups) * (LANES / ROW_LANES) + invocation / ROW_LANES;
  let lane = invocation % ROW_LANES;
  let is_there = row < params.rows;
  let columns = params.columns / 2u; // pairs
  let pairs = select(0u, columns, is_there);
  let start = row * pairs;
  let scale = row_rstd(invocation, start, pairs, params.columns, params.eps);
  var largest = 0u;
  for (var p = lane; p < pairs; p += ROW_LANES) {
    let value = x[start + p] * scale * unpack(weight[p]);
    largest = max(largest, max(magnitude(value.x), magnitude(value.y)));
  }
  largest = max(largest, subgroupShuffleXor(largest, 1u));
  largest = max(largest, subgroupShuffleXor(largest, 2u));
  largest = max(largest, subgroupShuffleXor(largest, 4u));
  let exponent = exponent_of(largest);
  let factors = factors_of_power(-exponent);
  let octet_pairs = (columns + 3u) / 4u * 4u;
  for (var p = lane; p < select(0u, octet_pairs, is_there); p += ROW_LANES) {
    let known = min(p, columns - 1u);
    let value = x[start + known] * scale * unpack(weight[known]);
    packed[row * octet_pairs + p] = pair_words(select(vec2(0.0), value * factors.x * factors.y, p < columns));
  }
  if (lane == 0u && is_there) {
    rstd[row] = scale;
    exponents[row] = exponent;
  }
}
