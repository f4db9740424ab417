// The tile of a product whose rows a subgroup holds: an invocation computes 16 rows x 4 columns. What a step of the sum needs of
// the 16 rows is loaded once by a subgroup, two numbers to an invocation, and handed round: 6 loads for 64 multiply-adds,
// where linear.wgsl has 16. Subgroups of 8 invocations or more of any size will do, because the rows are always held by the
// first 8. The order of the sum is that of linear.wgsl, and so are the bits.

const HELD = 8u; // rows that one load of a subgroup brings
const TILE_ROWS = 2u * HELD;
const PAIRS = 2u; // pairs of columns of an invocation
const RUN = 16u;  // pairs of terms that are added up before they are added to the rest

// Row r of an invocation's tile.
alias Columns = array<vec2<f32>, PAIRS>;
alias Tile = array<Columns, TILE_ROWS>;

// Adds two terms of the sum, first to each other, for 16 rows held by the subgroup and the invocation's columns.
fn add_pairs(tile: ptr<function, Tile>, low: vec2<f32>, high: vec2<f32>, even: Columns, odd: Columns) {
  for (var r = 0u; r < HELD; r++) {
    let a = subgroupShuffle(low, r);
    let b = subgroupShuffle(high, r);
    for (var j = 0u; j < PAIRS; j++) {
      (*tile)[r][j] += fma(vec2(a.y), odd[j], a.x * even[j]);
      (*tile)[HELD + r][j] += fma(vec2(b.y), odd[j], b.x * even[j]);
    }
  }
}

fn add_tile(total: ptr<function, Tile>, tile: Tile) {
  for (var r = 0u; r < TILE_ROWS; r++) {
    for (var j = 0u; j < PAIRS; j++) { (*total)[r][j] += tile[r][j]; }
  }
}

// The sum over `pairs` terms: the two rows that the invocation loads begin at x_at, the rows of the weight that are its pairs
// of columns at weight_at. The file that includes this says what x_pair and weight_pair read.
fn tile_product(x_at: vec2<u32>, weight_at: array<vec2<u32>, PAIRS>, pairs: u32) -> Tile {
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
      add_pairs(&tile, x_pair(x_at.x + p), x_pair(x_at.y + p), even, odd);
    }
    add_tile(&total, tile);
  }
  return total;
}
