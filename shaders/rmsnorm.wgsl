// Root-mean-square norm of rows of `columns` numbers: y = x rstd weight, rstd = 1 / sqrt(mean(x^2) + eps).
//
//   rmsnorm_forward          y, rstd   overwritten
//   rmsnorm_backward         dx        rstd (g - n mean(g n)), with n = x rstd and g = dy weight; added to if
//                                      params.accumulate, otherwise overwritten
//   rmsnorm_backward_weight  dweight   added to: sum of dy n over the rows
//
// Parallelisation: a workgroup takes 4 rows with 16 lanes each; a lane's partial sum is every 16th pair, and all lanes of
// a row then add up the 16 partial sums in the same order (one barrier). The gradient of the weight: a workgroup sums 4
// pairs of columns with 32 lanes each, every 32nd row a lane.

const LANES = 16u;
const ROWS = 4u;
var<workgroup> partial: array<array<f32, LANES>, ROWS>;

// Sum over the lanes of one row.
fn row_sum(lid: vec3<u32>, value: f32) -> f32 {
  partial[lid.y][lid.x] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) { sum += partial[lid.y][i]; }
  return sum;
}

// ---- forward -------------------------------------------------------------------------------------------------------

@compute @workgroup_size(LANES, ROWS)
fn rmsnorm_forward(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
) {
  let row = linear_group(wid, groups) * ROWS + lid.y;
  let pairs = select(0u, params.columns / 2u, row < params.rows);
  let start = row * pairs;

  var squares = 0.0;
  for (var p = lid.x; p < pairs; p += LANES) { squares += square(x[start + p]); }
  let scale = inverseSqrt(row_sum(lid, squares) / f32(params.columns) + params.eps);

  for (var p = lid.x; p < pairs; p += LANES) { y[start + p] = x[start + p] * scale * unpack(weight[p]); }
  if (lid.x == 0u && row < params.rows) { rstd[row] = scale; }
}

// ---- backward, input -----------------------------------------------------------------------------------------------

@compute @workgroup_size(LANES, ROWS)
fn rmsnorm_backward(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
) {
  let row = linear_group(wid, groups) * ROWS + lid.y;
  let pairs = select(0u, params.columns / 2u, row < params.rows);
  let start = row * pairs;
  var scale = 0.0;
  if (row < params.rows) { scale = saved_rstd[row]; }

  var product = 0.0;
  for (var p = lid.x; p < pairs; p += LANES) {
    product += dot(dy[start + p] * unpack(weight[p]), x[start + p] * scale);
  }
  let mean = row_sum(lid, product) / f32(params.columns);

  for (var p = lid.x; p < pairs; p += LANES) {
    let value = scale * (dy[start + p] * unpack(weight[p]) - x[start + p] * scale * mean);
    if (params.accumulate == 0u) { dx[start + p] = value; } else { dx[start + p] += value; }
  }
}

// ---- backward, weight ----------------------------------------------------------------------------------------------

const COLUMN_PAIRS = 4u;
const COLUMN_LANES = 32u;
var<workgroup> column_partial: array<array<vec2<f32>, COLUMN_PAIRS>, COLUMN_LANES>;

// Adds up the lanes of each pair of columns, in order, into dweight.
fn add_columns(lid: vec3<u32>, p: u32, value: vec2<f32>) {
  column_partial[lid.y][lid.x] = value;
  workgroupBarrier();
  if (lid.y > 0u || 2u * p >= params.columns) { return; }
  var sum = value;
  for (var i = 1u; i < COLUMN_LANES; i++) { sum += column_partial[i][lid.x]; }
  dweight[p] += sum;
}

@compute @workgroup_size(COLUMN_PAIRS, COLUMN_LANES)
fn rmsnorm_backward_weight(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let p = wid.x * COLUMN_PAIRS + lid.x;
  let pairs = params.columns / 2u;
  var sum = vec2(0.0);
  if (p < pairs) {
    for (var row = lid.y; row < params.rows; row += COLUMN_LANES) {
      sum += dy[row * pairs + p] * x[row * pairs + p] * saved_rstd[row];
    }
  }
  add_columns(lid, p, sum);
}
