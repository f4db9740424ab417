// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// 128 random bits are a function of a counter and a key, so that a draw depends on what it is for and on nothing else.

// Both 64-bit products a * b, from 16-bit halves: x low words, y high words.
fn mul_wide(a: vec2<u32>, b: vec2<u32>) -> array<vec2<u32>, 2> {
  let a0 = a & vec2(0xffffu);
  let b0 = b & vec2(0xffffu);
  let a1 = a >> vec2(16u);
  let b1 = b >> vec2(16u);
  let cross0 = a0 * b1;
  let cross1 = a1 * b0;
  let middle = ((a0 * b0) >> vec2(16u)) + (cross0 & vec2(0xffffu)) + (cross1 & vec2(0xffffu));
  return array(a * b, a1 * b1 + (cross0 >> vec2(16u)) + (cross1 >> vec2(16u)) + (middle >> vec2(16u)));
}

fn philox4x32(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  var c = counter;
  var k = key;
  for (var round = 0u; round < 10u; round++) {
    let product = mul_wide(vec2(0xd2511f53u, 0xcd9e8d57u), c.xz);
    let low = product[0];
    let high = product[1];
    c = vec4(high.y ^ c.y ^ k.x, low.y, high.x ^ c.w ^ k.y, low.x);
    k += vec2(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}

// Standard Gumbel noise -log(-log(1 - v)), v uniform in (0, 1). The inner logarithm is by its series where v is so small
// that 1 - v would lose it: those are the large values, and they decide.
fn gumbel(bits: vec4<u32>) -> vec4<f32> {
  let v = clamp(vec4<f32>(bits) * 0x1p-32, vec4(0x1p-33), vec4(1.0 - 0x1p-24));
  let series = v * (1.0 + v * (0.5 + v * (1.0 / 3.0 + v * 0.25)));
  return -log(select(-log(1.0 - v), series, v < vec4(0x1p-5)));
}
