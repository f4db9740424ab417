// Writes keys and values of new tokens into the paged cache.
//
//   kv_cache_write   k_cache, v_cache   rows tables[slot][position / block_size] * block_size + position % block_size overwritten
//
// Parallelisation: an invocation per pair of elements.

struct Params {
  rows: u32,
  pairs: u32, // of one row: G * D / 2
  block_size: u32,
  max_blocks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> k: array<pair>;
@group(0) @binding(2) var<storage, read> v: array<pair>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> slots: array<u32>;
@group(0) @binding(5) var<storage, read> tables: array<u32>;
@group(0) @binding(6) var<storage, read_write> k_cache: array<pair>;
@group(0) @binding(7) var<storage, read_write> v_cache: array<pair>;

const GROUP = 64u;

@compute @workgroup_size(GROUP)
fn kv_cache_write(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = linear_index(gid, groups, GROUP);
  let row = index / params.pairs;
  if (row >= params.rows) { return; }
  let position = positions[row];
  let physical = tables[slots[row] * params.max_blocks + position / params.block_size];
  let at = (physical * params.block_size + position % params.block_size) * params.pairs + index % params.pairs;
  k_cache[at] = k[index];
  v_cache[at] = v[index];
}
