// Blocks of keys and their merge (attention.wgsl), which do not depend on how a block is computed.

const BLOCK = 128u; // keys
const LOWEST = -3.4e38;

// Of eight keys.
alias Eight = array<vec4<f32>, 2>;

fn sum_of(weights: Eight) -> f32 {
  let low = weights[0];
  let high = weights[1];
  return ((low.x + low.y) + (low.z + low.w)) + ((high.x + high.y) + (high.z + high.w));
}

// How a block joins those before it: what they have and what it has is multiplied by `before` and `block`, and added by
// fma(what they have, before, what it has * block).
struct Merge {
  largest: f32,
  before: f32,
  block: f32,
}

fn merge_of(largest_before: f32, largest_of_block: f32) -> Merge {
  let largest = max(largest_before, largest_of_block);
  return Merge(largest, exp_f32(largest_before - largest), exp_f32(largest_of_block - largest));
}
