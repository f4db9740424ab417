// What the variants of the linear layer share: parameters, tensors, and how a pair of neighbouring columns is stored.

struct Params {
  rows: u32,
  inputs: u32,  // even
  outputs: u32, // even but for linear_logits and the backward pass from its chunks
  row0: u32,    // first row of W and dweight that takes part
  accumulate: u32,
  has_bias: u32,
  has_residual: u32,
  stride: u32,  // of a row of logits
  column0: u32, // of the first logit in it
  scale: f32,   // of linear_forward's product and linear_backward_input's
  is_kept: u32, // whether linear_swiglu stores gate and up
  is_wanted: u32, // and whether y
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<pair>;
@group(0) @binding(3) var<storage, read> bias: array<pair>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> logits: array<f32>;
@group(0) @binding(8) var<storage, read_write> dx: array<vec2<f32>>;
@group(0) @binding(9) var<storage, read_write> dweight: array<vec2<f32>>;
@group(0) @binding(10) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(11) var<storage, read> up_weight: array<pair>;
@group(0) @binding(12) var<storage, read_write> gate: array<pair>;
@group(0) @binding(13) var<storage, read_write> up: array<pair>;

// The number of columns is even in all of them but the logits.

fn bias_at(column_pair: u32) -> vec2<f32> {
  if (params.has_bias == 0u) { return vec2(0.0); }
  return unpack(bias[column_pair]);
}

fn residual_at(at: u32) -> vec2<f32> {
  if (params.has_residual == 0u) { return vec2(0.0); }
  return residual[at];
}

fn store_y(row: u32, column_pair: u32, value: vec2<f32>) {
  let pairs = params.outputs / 2u;
  if (row >= params.rows || column_pair >= pairs) { return; }
  let at = row * pairs + column_pair;
  y[at] = residual_at(at) + (params.scale * value + bias_at(column_pair));
}

fn store_swiglu(row: u32, column_pair: u32, gate_value: vec2<f32>, up_value: vec2<f32>) {
  let pairs = params.outputs / 2u;
  if (row >= params.rows || column_pair >= pairs) { return; }
  let at = row * pairs + column_pair;
  if (params.is_kept != 0u) {
    gate[at] = pack(gate_value);
    up[at] = pack(up_value);
  }
  if (params.is_wanted != 0u) { y[at] = gate_value * sigmoid(gate_value) * up_value; }
}

// The number of tokens in a vocabulary may be odd: single stores.
fn store_logits(row: u32, column_pair: u32, value: vec2<f32>) {
  let column = 2u * column_pair;
  let at = row * params.stride + params.column0 + column;
  if (row >= params.rows) { return; }
  if (column < params.outputs) { logits[at] = value.x; }
  if (column + 1u < params.outputs) { logits[at + 1u] = value.y; }
}

fn store_dx(row: u32, column_pair: u32, value: vec2<f32>) {
  let pairs = params.inputs / 2u;
  if (row >= params.rows || column_pair >= pairs) { return; }
  let at = row * pairs + column_pair;
  let scaled = params.scale * value;
  if (params.accumulate == 0u) { dx[at] = scaled; } else { dx[at] += scaled; }
}

fn add_to_dweight(row: u32, column_pair: u32, value: vec2<f32>) {
  let pairs = params.inputs / 2u;
  if (row >= params.outputs || column_pair >= pairs) { return; }
  dweight[(params.row0 + row) * pairs + column_pair] += value;
}
