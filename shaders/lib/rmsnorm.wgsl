// What the variants of the root-mean-square norm share: parameters and tensors.

struct Params {
  rows: u32,
  columns: u32, // even
  eps: f32,
  accumulate: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<pair>;
@group(0) @binding(3) var<storage, read_write> y: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(5) var<storage, read> saved_rstd: array<f32>;
@group(0) @binding(6) var<storage, read> dy: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> dx: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> dweight: array<vec2<f32>>;
