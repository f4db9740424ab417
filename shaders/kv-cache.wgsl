// Rounds keys and values to the storage that attention reads: the one place where an activation is rounded.
//
//   kv_pack          k_packed, v_packed   row r overwritten by row r
//   kv_cache_write   k_packed, v_packed   the paged cache: row (first_block + tables[slot][position / block_size]) * block_size
//                                         + position % block_size overwritten
//
// Parallelisation: an invocation per pair of elements.

struct Params {
  rows: u32,
  pairs: u32, // of one row: G * D / 2
  block_size: u32,
  max_blocks: u32,
  first_block: u32, // of this layer in the cache
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> k: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> v: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> slots: array<u32>;
@group(0) @binding(5) var<storage, read> tables: array<u32>;
@group(0) @binding(6) var<storage, read_write> k_packed: array<pair>;
@group(0) @binding(7) var<storage, read_write> v_packed: array<pair>;

const GROUP = 64u;

@compute @workgroup_size(GROUP)
fn kv_pack(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = linear_index(gid, groups, GROUP);
  if (index >= params.rows * params.pairs) { return; }
  k_packed[index] = pack(k[index]);
  v_packed[index] = pack(v[index]);
}

@compute @workgroup_size(GROUP)
fn kv_cache_write(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = linear_index(gid, groups, GROUP);
  let row = index / params.pairs;
  if (row >= params.rows) { return; }
  let position = positions[row];
  let physical = params.first_block + tables[slots[row] * params.max_blocks + position / params.block_size];
  let at = (physical * params.block_size + position % params.block_size) * params.pairs + index % params.pairs;
  k_packed[at] = pack(k[index]);
  v_packed[at] = pack(v[index]);
}
