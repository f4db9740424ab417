// (a cos - b sin, b cos + a sin), rounded the same way wherever it is used: see lib/square.wgsl.
fn rotated(pair: vec2<f32>, cosine: f32, sine: f32) -> vec2<f32> {
  return fma(vec2(-pair.y, pair.x), vec2(sine), pair * cosine);
}
