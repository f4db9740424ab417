// The tile of a product whose rows a subgroup holds: an invocation computes 8 LOADS rows x 4 columns. What a step of the sum needs of
// the rows is loaded once by a subgroup, LOADS numbers to an invocation, and handed round: of 16 rows 6 loads for 64 multiply-adds,
// where linear.wgsl has 16. Subgroups of 8 invocations or more of any size will do, because the rows are always held by the
// first 8. The order of the sum is that of linear.wgsl, and so are the bits.
//
// The host puts in front: LOADS, 2, or 1 where an invocation has too few registers for the sums of 16 rows.

const HELD = 8u; // rows that one load of a subgroup brings
const TILE_ROWS = LOADS * HELD;
const PAIRS = 2u; // pairs of columns of an invocation
const RUN = 16u;  // pairs of terms that are added up before they are added to the rest

// Row r of an invocation's tile.
alias Columns = array<vec2<f32>, PAIRS>;
alias Tile = array<Columns, TILE_ROWS>;
// Where the rows begin that the invocation loads, and what it loaded of them.
alias Places = array<u32, LOADS>;
alias Held = array<vec2<f32>, LOADS>;

// Adds two terms of the sum, first to each other, for the rows held by the subgroup and the invocation's columns.
fn add_pairs(tile: ptr<function, Tile>, held: Held, even: Columns, odd: Columns) {
  for (var r = 0u; r < HELD; r++) {
    for (var i = 0u; i < LOADS; i++) {
      let a = subgroupShuffle(held[i], r);
      for (var j = 0u; j < PAIRS; j++) { (*tile)[HELD * i + r][j] += fma(vec2(a.y), odd[j], a.x * even[j]); }
    }
  }
}

fn add_tile(total: ptr<function, Tile>, tile: Tile) {
  for (var r = 0u; r < TILE_ROWS; r++) {
    for (var j = 0u; j < PAIRS; j++) { (*total)[r][j] += tile[r][j]; }
  }
}

// The sum over `pairs` terms: the rows that the invocation loads begin at x_at, the rows of the weight that are its pairs
// of columns at weight_at. The file that includes this says what x_pair and weight_pair read.
fn tile_product(x_at: Places, weight_at: array<vec2<u32>, PAIRS>, pairs: u32) -> Tile {
  var total: Tile;
  for (var start = 0u; start < pairs; start += RUN) {
    var tile = Tile();
    for (var p = start; p < min(start + RUN, pairs); p++) {
      var even: Columns;
      var odd: Columns;
      for (var j = 0u; j < PAIRS; j++) {
        let w = transpose(mat2x2(weight_pair(weight_at[j].x + p), weight_pair(weight_at[j].y + p)));
        even[j] = w[0];
        odd[j] = w[1];
      }
      var held: Held;
      for (var i = 0u; i < LOADS; i++) { held[i] = x_pair(x_at[i] + p); }
      add_pairs(&tile, held, even, odd);
    }
    add_tile(&total, tile);
  }
  return total;
}

// Rows that are stored at a time, the others moving down: 16 rows of stores, each with its conditions, take a software adapter
// seconds to compile. The moves are few beside the product's multiply-adds.
const STORED = 4u;

fn next_rows(tile: ptr<function, Tile>) {
  for (var r = STORED; r < TILE_ROWS; r++) { (*tile)[r - STORED] = (*tile)[r]; }
}
