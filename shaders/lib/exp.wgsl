// e^v to 1 ulp in the mean. The built-in's error grows with |v| (3 + 2 |v| ulp in WGSL) and has a sign on software adapters,
// which a sum over a vocabulary or a sequence does not average away.
//
// v = n ln 2 + r with |r| <= ln 2 / 2; ln 2 = 0.693359375 - 2.12194440e-4, the first with so few bits that its product
// with n is exact; e^r by the polynomial of Cephes' expf. The products use two conversions of n, because a compiler that
// sees one factor twice adds the two constants up.
fn exp_vec4(v: vec4<f32>) -> vec4<f32> {
  let y = select(v, clamp(v, vec4(-100.0), vec4(100.0)), abs(v) > vec4(100.0)); // keeps NaN
  // Adding 1.5 * 2^23 leaves n in the low bits: a conversion from f32 to i32 would guard against values that y cannot have.
  let n = bitcast<vec4<i32>>(fma(y, vec4(1.44269504), vec4(0x1.8p23))) - vec4(0x4b400000);
  let r = fma(vec4<f32>(2 * n), vec4(0.5 * 2.12194440e-4), fma(vec4<f32>(n), vec4(-0.693359375), y));
  var p = fma(r, vec4(1.9875691500e-4), vec4(1.3981999507e-3));
  p = fma(p, r, vec4(8.3334519073e-3));
  p = fma(p, r, vec4(4.1665795894e-2));
  p = fma(p, r, vec4(1.6666665459e-1));
  p = fma(p, r, vec4(5.0000001201e-1));
  // 2^n: 0 below the normal numbers, infinity above them.
  let scale = bitcast<vec4<f32>>(vec4<u32>(clamp(n, vec4(-127), vec4(128)) + 127) << vec4(23u));
  return (fma(p * r, r, r) + 1.0) * scale;
}

fn exp_vec2(v: vec2<f32>) -> vec2<f32> { return exp_vec4(v.xyxy).xy; }
fn exp_f32(v: f32) -> f32 { return exp_vec4(vec4(v)).x; }
