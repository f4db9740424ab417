// The rows of the left operand as linear_pack left them: octets and exponents.

@group(0) @binding(14) var<storage, read> packed: array<array<vec4<u32>, WORDS>>;
@group(0) @binding(15) var<storage, read> exponents: array<i32>;

fn begin_rows(first_row: u32, lane: u32) {}

// Octet `at` of a row of `row_octets`, the parts of an octet counted one by one; the row exists.
fn row_octet(row: u32, at: u32, row_octets: u32) -> Octet {
  return packed[row * row_octets + at];
}

fn exponent_of_row(row: u32) -> i32 {
  return exponents[row];
}
