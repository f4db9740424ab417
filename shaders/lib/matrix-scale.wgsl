// The power of two by which a row of an operand is scaled before it is rounded: a function of the row alone, and of its
// largest number only, so that it does not matter who computes it.

// 2^n for n from -126 to 127.
fn power_of_two(n: i32) -> f32 {
  return bitcast<f32>(u32(n + 127) << 23u);
}

// Two factors whose product is 2^n, which itself may be no f32 where what it scales is one.
fn factors_of_power(n: i32) -> vec2<f32> {
  let half = clamp(n, -252, 254) >> 1u;
  return vec2(power_of_two(half), power_of_two(clamp(n, -252, 254) - half));
}

// Floats ordered by magnitude; NaN comes out largest.
fn magnitude(v: f32) -> u32 {
  return bitcast<u32>(v) & 0x7fffffffu;
}

// Of the largest magnitude of a row: its numbers are multiplied by 2^-exponent.
fn exponent_of(largest: u32) -> i32 {
  return row_exponent(i32(largest >> 23u) - 127);
}
