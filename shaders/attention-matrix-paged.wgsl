// Attention through the cache's blocks on subgroup matrices, to the bits of attention-matrix.wgsl.
//
//   attention_paged     out               overwritten: for rows that share sequences (prefill)
//   attention_partial   partial_softmax,  overwritten: (m, l) and o of a block of keys alone: decoding, all blocks side by side, which
//                       partial_values    attention_merge of attention-lanes.wgsl joins
//
// Parallelisation: in attention_paged as in training. In attention_partial a workgroup has one block of a row and of a key head, whose
// query heads fill a tile as far as they do: what decides is reading keys and values once.
//
// The host puts PAGE, rows of the cache's blocks, in front of what lib/attention-matrix-block.wgsl wants.

@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read> slots: array<u32>;
@group(0) @binding(7) var<storage, read> tables: array<u32>;
@group(0) @binding(8) var<storage, read_write> partial_softmax: array<vec2<f32>>;
@group(0) @binding(9) var<storage, read_write> partial_values: array<vec4<f32>>;

var<private> slot: u32;

fn key_row(j: u32) -> u32 {
  let physical = params.first_block + tables[slot * params.max_blocks + j / PAGE];
  return (physical * PAGE + j % PAGE) * params.kv_heads + kv_head;
}

@compute @workgroup_size(THREADS)
fn attention_paged(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) invocation: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  enter(invocation);
  kv_head = wid.y;
  let queries = params.rows * group_size();
  let tile = (groups.x - 1u - wid.x) * QUERIES;
  first_query = tile;
  end_query = queries;
  var own: Own;
  load_queries(&own, subgroup);
  begin_softmax();
  // Neighbouring rows of one sequence together.
  let first = tile / group_size();
  var end = min(tile + QUERIES - 1u, queries - 1u) / group_size() + 1u;
  while (end > first) {
    let row_slot = slots[end - 1u];
    slot = row_slot;
    var begin = end - 1u;
    var length = positions[begin] + 1u;
    while (begin > first && slots[max(begin, 1u) - 1u] == row_slot) {
      begin--;
      length = max(length, positions[begin] + 1u);
    }
    for (var p = 0u; p < PASSES; p++) {
      let row = row_of(p);
      limit[p] = select(0u, positions[row] + 1u, begin <= row && row < end);
    }
    walk(&own, length, subgroup);
    end = begin;
  }
  store_out();
}

@compute @workgroup_size(THREADS)
fn attention_partial(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) invocation: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  enter(invocation);
  // By block; by key head and tile of its heads; by row.
  let number = wid.x;
  let tiles = (group_size() + QUERIES - 1u) / QUERIES;
  let row = params.first_row + wid.z;
  let length = positions[row] + 1u;
  let begin = number * BLOCK;
  if (begin >= length) { return; }
  kv_head = wid.y / tiles;
  slot = slots[row];
  first_query = row * group_size() + wid.y % tiles * QUERIES;
  end_query = (row + 1u) * group_size();
  var own: Own;
  load_queries(&own, subgroup);
  for (var p = 0u; p < PASSES; p++) { limit[p] = length; }
  take_block(&own, begin, min(begin + BLOCK, length), subgroup);
  for (var p = 0u; p < PASSES; p++) {
    if (!is_stored(p)) { continue; }
    let at = (query_row(p) - params.first_row * params.heads) * params.blocks + number;
    if (lane == 0u) { partial_softmax[at] = vec2(largest[p], sum[p]); }
    for (var i = 0u; i < OCTETS; i++) {
      for (var h = 0u; h < 2u; h++) {
        let quad = 2u * octet_of(i) + h;
        if (4u * quad < 2u * HEAD_PAIRS) { partial_values[at * params.value_quads + quad] = sum_values[p][i][h]; }
      }
    }
  }
}
