// A tile of queries goes through the blocks of a sequence, one after the other, and keeps the sum over them (lib/attention-matrix-block.wgsl).
// What includes this has out.

// Of the rows that an invocation weighs: the softmax and the values of all blocks before.
var<private> all_largest: array<f32, PASSES>;
var<private> all_sum: array<f32, PASSES>;
var<private> all_values: array<Share, PASSES>;

fn begin_softmax() {
  for (var p = 0u; p < PASSES; p++) {
    all_largest[p] = LOWEST;
    all_sum[p] = 0.0;
    all_values[p] = Share();
  }
}

// The blocks of the sequence at hand up to key `end`, one after the other.
fn walk(own: ptr<function, Own>, end: u32, subgroup: u32) {
  for (var begin = 0u; begin < end; begin += BLOCK) {
    take_block(own, begin, min(begin + BLOCK, end), subgroup);
    for (var p = 0u; p < PASSES; p++) {
      let merge = merge_of(all_largest[p], largest[p]);
      all_largest[p] = merge.largest;
      all_sum[p] = fma(all_sum[p], merge.before, sum[p] * merge.block);
      for (var i = 0u; i < OCTETS; i++) {
        for (var h = 0u; h < 2u; h++) {
          all_values[p][i][h] = fma(vec4(merge.before), all_values[p][i][h], sum_values[p][i][h] * merge.block);
        }
      }
    }
  }
}

fn store_out() {
  for (var p = 0u; p < PASSES; p++) {
    if (!is_stored(p)) { continue; }
    for (var i = 0u; i < OCTETS; i++) {
      for (var h = 0u; h < 2u; h++) {
        let values = all_values[p][i][h] / all_sum[p];
        let pair_index = 4u * octet_of(i) + 2u * h;
        let at = query_row(p) * HEAD_PAIRS + pair_index;
        if (pair_index < HEAD_PAIRS) { out[at] = values.xy; }
        if (pair_index + 1u < HEAD_PAIRS) { out[at + 1u] = values.zw; }
      }
    }
  }
}
