// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): 128 random bits as a function of a
// 128-bit counter and a 64-bit key.

// High and low word of a 32 x 32 bit product.
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let mid1 = (a >> 16u) * (b & 0xffffu);
  let mid2 = (a & 0xffffu) * (b >> 16u);
  let carry = ((low >> 16u) + (mid1 & 0xffffu) + (mid2 & 0xffffu)) >> 16u;
  return vec2((a >> 16u) * (b >> 16u) + (mid1 >> 16u) + (mid2 >> 16u) + carry, a * b);
}

fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  var c = counter;
  var k = key;
  for (var round = 0u; round < 10u; round++) {
    let a = multiply_wide(0xd2511f53u, c.x);
    let b = multiply_wide(0xcd9e8d57u, c.z);
    c = vec4(b.x ^ c.y ^ k.x, b.y, a.x ^ c.w ^ k.y, a.y);
    k += vec2(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}

// Uniform in (0, 1), never its ends: 23 bits and a half.
fn uniform_open(bits: vec4<u32>) -> vec4<f32> {
  return (vec4<f32>(bits >> vec4(9u)) + 0.5) * 1.1920929e-7;
}
