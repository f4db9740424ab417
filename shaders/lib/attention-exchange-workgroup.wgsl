// What the lanes of a row tell each other, through the workgroup's memory, where there are no subgroups or too small ones. Every
// function is a barrier for the whole workgroup; what one writes is read before the next but one.

var<workgroup> shared_shares: array<array<Eight, THREADS>, QUERIES>;
var<workgroup> shared_scores: array<array<Eight, GROUPS>, QUERIES>;
var<workgroup> shared_weights: array<array<Eight, GROUPS>, QUERIES>;
var<private> thread: u32;

fn enter(invocation: u32) { thread = invocation; }

// Between two calls of the same function that follow each other.
fn apart() { workgroupBarrier(); }

// All of a workgroup take as many steps as a block can have.
fn step_bound(own: u32) -> u32 { return params.steps; }

fn own_scores(lane: u32, shares: array<Eight, QUERIES>) -> array<Own, QUERIES> {
  for (var n = 0u; n < QUERIES; n++) { shared_shares[n][thread] = shares[n]; }
  workgroupBarrier();
  var own: array<Own, QUERIES>;
  for (var n = 0u; n < QUERIES; n++) {
    for (var i = 0u; i < OWN; i++) {
      let key = first_own_key(lane) + i;
      var sums: array<f32, LANES>;
      for (var s = 0u; s < LANES; s++) { sums[s] = shared_shares[n][thread - lane + s][key / 4u][key % 4u]; }
      own[n][i] = sum_of_shares(sums);
    }
  }
  return own;
}

fn largest_scores(own: array<Own, QUERIES>) -> array<f32, QUERIES> {
  let lane = thread % LANES;
  for (var n = 0u; n < QUERIES; n++) {
    for (var i = 0u; i < OWN; i++) {
      let key = first_own_key(lane) + i;
      shared_scores[n][thread / LANES][key / 4u][key % 4u] = own[n][i];
    }
  }
  workgroupBarrier();
  var all: array<f32, QUERIES>;
  for (var n = 0u; n < QUERIES; n++) {
    let eight = shared_scores[n][thread / LANES];
    let four = max(eight[0], eight[1]);
    all[n] = max(max(four.x, four.y), max(four.z, four.w));
  }
  return all;
}

fn all_weights(own: array<Own, QUERIES>) -> array<Eight, QUERIES> {
  let lane = thread % LANES;
  for (var n = 0u; n < QUERIES; n++) {
    for (var i = 0u; i < OWN; i++) {
      let key = first_own_key(lane) + i;
      shared_weights[n][thread / LANES][key / 4u][key % 4u] = own[n][i];
    }
  }
  workgroupBarrier();
  var all: array<Eight, QUERIES>;
  for (var n = 0u; n < QUERIES; n++) { all[n] = shared_weights[n][thread / LANES]; }
  return all;
}
