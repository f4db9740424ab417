// The rows of the left operand as linear_pack left them: octets and exponents.

@group(0) @binding(14) var<storage, read> packed: array<array<vec4<u32>, WORDS>>;
@group(0) @binding(15) var<storage, read> exponents: array<i32>;

fn begin_rows(first_row: u32, lane: u32) {}

// Where a row of so many octets begins, and octet `at` of it.
fn left_place(row: u32, row_octets: u32) -> u32 { return row * row_octets; }
fn left_octet(place: u32, at: u32) -> Octet { return packed[place + at]; }

fn exponent_of_row(row: u32) -> i32 {
  return exponents[row];
}
