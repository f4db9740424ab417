// Logits of a chunk of the vocabulary.
const RESULT_SLOTS = RESULT_QUADS;

fn tile_origin(wid: vec3<u32>) -> vec2<u32> { return vec2(wid.y * TILE_ROWS, wid.x * TILE_COLUMNS); }

fn store_result(origin: vec2<u32>, i: u32, slot: u32) {
  let quad = staged_result(origin, i, slot);
  let value = quad.value * row_scale(quad.row);
  store_logits(quad.row, quad.column / 2u, value.xy);
  store_logits(quad.row, quad.column / 2u + 1u, value.zw);
}

@compute @workgroup_size(THREADS)
fn linear_logits(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  multiply(wid, lane, subgroup);
}
