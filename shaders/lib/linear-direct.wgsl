// The rows of the left operand straight from x, scaled and rounded while they are staged, to the bits that linear_pack gives.
// Each workgroup looks for the largest numbers of its rows itself, which is less work than a dispatch where they are few.
// For linear_forward, linear_swiglu and linear_logits.

var<workgroup> largest: array<atomic<u32>, TILE_ROWS>;
var<private> tile_row: u32;

fn begin_rows(first_row: u32, lane: u32) {
  tile_row = first_row;
  let pairs = params.inputs / 2u;
  for (var r = 0u; r < TILE_ROWS && first_row + r < params.rows; r++) {
    var own = 0u;
    for (var p = lane; p < pairs; p += THREADS) {
      let v = x[(first_row + r) * pairs + p];
      own = max(own, max(magnitude(v.x), magnitude(v.y)));
    }
    atomicMax(&largest[r], own);
  }
  workgroupBarrier();
}

fn exponent_of_row(row: u32) -> i32 {
  return exponent_of(atomicLoad(&largest[row - tile_row]));
}

fn x_pair(row: u32, p: u32) -> vec2<f32> {
  let pairs = params.inputs / 2u;
  return select(vec2(0.0), x[row * pairs + min(p, pairs - 1u)], p < pairs);
}

// A row and octet `at` of it, as lib/linear-packed.wgsl has them.
fn left_place(row: u32, row_octets: u32) -> u32 { return row; }

fn left_octet(row: u32, at: u32) -> Octet {
  let scale = power_of_two(-exponent_of_row(row));
  let p = 4u * at;
  return to_octet(vec4(x_pair(row, p), x_pair(row, p + 1u)) * scale, vec4(x_pair(row, p + 2u), x_pair(row, p + 3u)) * scale);
}
