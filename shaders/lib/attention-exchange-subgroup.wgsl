enable subgroups;
diagnostic(off, subgroup_uniformity);

// What the lanes of a row tell each other, by shuffles in a subgroup, which neighbouring invocations of a workgroup share.

var<private> first_lane: u32; // of the row, in the subgroup

// All invocations call this first.
fn enter(invocation: u32) { first_lane = subgroupExclusiveAdd(1u) / LANES * LANES; }

// Between two calls of the same function that follow each other.
fn apart() {}

// Steps that a loop takes in which `own` are needed.
fn step_bound(own: u32) -> u32 { return subgroupMax(own); }

fn joined(keep: vec4<f32>, send: vec4<f32>, other: u32) -> vec4<f32> { return keep + subgroupShuffleXor(send, other); }

// The whole scores of an invocation's own keys, from every lane's shares of all eight: with each half of the lanes that joins the
// other, an invocation keeps half of the keys.
fn own_scores(lane: u32, shares: array<Eight, QUERIES>) -> array<Own, QUERIES> {
  var own: array<Own, QUERIES>;
  for (var n = 0u; n < QUERIES; n++) {
    let low = shares[n][0];
    let high = shares[n][1];
    if (LANES == 1u) {
      for (var i = 0u; i < OWN; i++) { own[n][i] = select(low[i % 4u], high[i % 4u], i >= 4u); }
      continue;
    }
    let is_second = (lane & (LANES / 2u)) != 0u;
    var kept = joined(select(low, high, is_second), select(high, low, is_second), LANES / 2u);
    if (LANES > 2u) {
      let is_upper = (lane & (LANES / 4u)) != 0u;
      let swapped = kept.zwxy;
      kept = joined(select(kept, swapped, is_upper), select(swapped, kept, is_upper), LANES / 4u);
    }
    if (LANES > 4u) {
      let is_odd = (lane & (LANES / 8u)) != 0u;
      let swapped = kept.yxwz;
      kept = joined(select(kept, swapped, is_odd), select(swapped, kept, is_odd), LANES / 8u);
    }
    for (var i = 0u; i < OWN; i++) { own[n][i] = kept[i % 4u]; }
  }
  return own;
}

// The largest of all eight.
fn largest_scores(own: array<Own, QUERIES>) -> array<f32, QUERIES> {
  var all: array<f32, QUERIES>;
  for (var n = 0u; n < QUERIES; n++) {
    var top = own[n][0];
    for (var i = 1u; i < OWN; i++) { top = max(top, own[n][i]); }
    if (LANES > 1u) { top = max(top, subgroupShuffleXor(top, 1u)); }
    if (LANES > 2u) { top = max(top, subgroupShuffleXor(top, 2u)); }
    if (LANES > 4u) { top = max(top, subgroupShuffleXor(top, 4u)); }
    all[n] = top;
  }
  return all;
}

// All eight weights, from every lane's own.
fn all_weights(own: array<Own, QUERIES>) -> array<Eight, QUERIES> {
  var all: array<Eight, QUERIES>;
  for (var n = 0u; n < QUERIES; n++) {
    for (var i = 0u; i < STEP; i++) { all[n][i / 4u][i % 4u] = subgroupShuffle(own[n][i % OWN], first_lane + i * LANES / STEP); }
  }
  return all;
}
