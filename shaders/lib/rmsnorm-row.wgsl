// The sums of a norm over a row that 8 invocations of a subgroup share: each has two of the 16 partial sums of rmsnorm.wgsl,
// which are added up in its order.

const ROW_LANES = 8u;

// Sum of the row's 16 partial sums: x is number `lane` of them, y number `lane + 8`.
fn row_sum(lane: u32, partial: vec2<f32>) -> f32 {
  let first = lane - lane % ROW_LANES;
  var sum = 0.0;
  for (var i = 0u; i < ROW_LANES; i++) { sum += subgroupShuffle(partial.x, first + i); }
  for (var i = 0u; i < ROW_LANES; i++) { sum += subgroupShuffle(partial.y, first + i); }
  return sum;
}

// 1 / sqrt(mean(x^2) + eps) of the row that begins at `start`; `pairs` is 0 for a row that is not there. The file that includes
// this says what norm_pair reads.
fn row_rstd(lane: u32, start: u32, pairs: u32, columns: u32, eps: f32) -> f32 {
  var squares = vec2(0.0);
  for (var p = lane % ROW_LANES; p < pairs; p += 2u * ROW_LANES) {
    squares.x += square(norm_pair(start + p));
    if (p + ROW_LANES < pairs) { squares.y += square(norm_pair(start + p + ROW_LANES)); }
  }
  return inverseSqrt(row_sum(lane, squares) / f32(columns) + eps);
}
