// The parts of attention's definition (attention.wgsl) that do not depend on how the work is shared out. What includes this has
// QUERIES at a time and says what Values of one are, with `scaled` and `add_scaled` for them.

const STEP = 8u; // keys of a block that get their weights together

// Of each query: the softmax over the keys of the block at hand so far, and over the blocks before it.
var<private> largest: array<f32, QUERIES>;
var<private> sum: array<f32, QUERIES>;
var<private> sum_values: array<Values, QUERIES>;
var<private> all_largest: array<f32, QUERIES>;
var<private> all_sum: array<f32, QUERIES>;
var<private> all_values: array<Values, QUERIES>;

fn begin_softmax() {
  for (var n = 0u; n < QUERIES; n++) {
    all_largest[n] = LOWEST;
    all_sum[n] = 0.0;
    all_values[n] = Values();
  }
}

fn begin_block() {
  for (var n = 0u; n < QUERIES; n++) {
    largest[n] = LOWEST;
    sum[n] = 0.0;
    sum_values[n] = Values();
  }
}

fn end_block() {
  for (var n = 0u; n < QUERIES; n++) {
    let merge = merge_of(all_largest[n], largest[n]);
    all_largest[n] = merge.largest;
    all_sum[n] = fma(all_sum[n], merge.before, sum[n] * merge.block);
    all_values[n] = add_scaled(scaled(sum_values[n], merge.block), all_values[n], merge.before);
  }
}
