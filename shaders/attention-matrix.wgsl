// attention_forward of attention.wgsl on subgroup matrices, as lib/attention-matrix-block.wgsl defines its blocks.
//
//   attention_forward   out, lse   overwritten; keys and values of packed sequences, starts[i] the first row of i's own
//
// Parallelisation: a workgroup has a tile of queries and walks through the blocks that they see, the ones with most keys first.

@group(0) @binding(4) var<storage, read> starts: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;

var<private> sequence_start: u32;

fn key_row(j: u32) -> u32 { return (sequence_start + j) * params.kv_heads + kv_head; }

@compute @workgroup_size(THREADS)
fn attention_forward(
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
  // The tile's rows are of one sequence or of several: each in turn, the last one first.
  let first = starts[tile / group_size()];
  var end = min(tile + QUERIES - 1u, queries - 1u) / group_size() + 1u;
  while (end > first) {
    let start = starts[end - 1u];
    sequence_start = start;
    for (var p = 0u; p < PASSES; p++) {
      let row = row_of(p);
      limit[p] = select(0u, row + 1u - start, start <= row && row < end);
    }
    walk(&own, end - start, subgroup);
    end = start;
  }
  for (var p = 0u; p < PASSES; p++) {
    if (lane == 0u && is_stored(p)) { lse[query_row(p)] = all_largest[p] + log_f32(all_sum[p]); }
  }
  store_out();
}
