enable subgroups;
diagnostic(off, subgroup_uniformity);

// How a row comes to an attention tile where a subgroup of 8 or more has neighbouring tiles: it goes through the rows that any
// of its tiles needs, all invocations in step, and loads each once, spread over 8 invocations that then hand it round.
// A row that a tile does not need weighs nothing in it.
//
// The loops over rows are uniform in a subgroup because their bounds are its smallest and largest, which the compiler cannot
// know: hence the diagnostic.

const HELD = 8u;
const PARTS = (HEAD_PAIRS + HELD - 1u) / HELD;
var<private> lane: u32; // of the 8

// All invocations of a subgroup call this first.
fn enter() { lane = subgroupExclusiveAdd(1u) % HELD; }

fn first_of_tiles(row: u32) -> u32 { return subgroupMin(row); }
fn last_of_tiles(row: u32) -> u32 { return subgroupMax(row); }

fn part_of_row(at: u32, i: u32) -> u32 { return at + min(i * HELD + lane, HEAD_PAIRS - 1u); }

fn hand_round(held: array<vec2<f32>, PARTS>) -> Row {
  var row: Row;
  for (var c = 0u; c < CHUNKS; c++) {
    for (var p = 0u; p < CHUNK; p++) {
      let n = c * CHUNK + p;
      row[c][p] = subgroupShuffle(held[n / HELD], n % HELD);
    }
  }
  return row;
}

fn take_q(at: u32) {
  var held: array<vec2<f32>, PARTS>;
  for (var i = 0u; i < PARTS; i++) { held[i] = q[part_of_row(at, i)]; }
  q_row = hand_round(held);
}

fn take_k(at: u32) {
  var held: array<vec2<f32>, PARTS>;
  for (var i = 0u; i < PARTS; i++) { held[i] = unpack(k[part_of_row(at, i)]); }
  k_row = hand_round(held);
}

fn take_v(at: u32) {
  var held: array<vec2<f32>, PARTS>;
  for (var i = 0u; i < PARTS; i++) { held[i] = unpack(v[part_of_row(at, i)]); }
  v_row = hand_round(held);
}

fn take_dout(at: u32) {
  var held: array<vec2<f32>, PARTS>;
  for (var i = 0u; i < PARTS; i++) { held[i] = dout[part_of_row(at, i)]; }
  dout_row = hand_round(held);
}
