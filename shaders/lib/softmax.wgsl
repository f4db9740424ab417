// What the variants of softmax share: y = exp(x - max x) / sum exp(x - max x) over rows of `columns` numbers; y overwritten.

struct Params {
  rows: u32,
  columns: u32, // a multiple of 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

const LOWEST = -3.4028234e38;

// Of every LANES-th four of a row, from number `lane` on.
fn lane_max(start: u32, lane: u32, stride: u32, fours: u32) -> f32 {
  var largest = vec4(LOWEST);
  for (var i = lane; i < fours; i += stride) { largest = max(largest, x[start + i]); }
  return max(max(largest.x, largest.y), max(largest.z, largest.w));
}

fn lane_sum(start: u32, lane: u32, stride: u32, fours: u32, largest: f32) -> f32 {
  var sum = vec4(0.0);
  for (var i = lane; i < fours; i += stride) { sum += exp_vec4(x[start + i] - largest); }
  return (sum.x + sum.y) + (sum.z + sum.w);
}

fn lane_store(start: u32, lane: u32, stride: u32, fours: u32, largest: f32, sum: f32) {
  let scale = 1.0 / sum;
  for (var i = lane; i < fours; i += stride) { y[start + i] = exp_vec4(x[start + i] - largest) * scale; }
}
