// |v|^2, rounded the same way wherever it is used: a compiler may fuse a product and a sum that are written apart, or not.
fn square(v: vec2<f32>) -> f32 { return fma(v.y, v.y, v.x * v.x); }
