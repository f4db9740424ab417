// A subgroup's own rows, in registers.

// By row of matrices, section and step.
alias OwnQueries = array<array<Left, SECTIONS * STEPS>, ROW_MATRICES>;
// By column of matrices, section and step.
alias OwnKeys = array<array<Right, 2u * STEPS>, COLUMN_MATRICES>;

fn own_queries(first: u32, head: u32) -> OwnQueries {
  var own: OwnQueries;
  for (var r = 0u; r < ROW_MATRICES; r++) {
    for (var s = 0u; s < SECTIONS * STEPS; s++) { own[r][s] = load_query(first + r * M, head, s); }
  }
  return own;
}

fn own_keys(first: u32, kv_head: u32) -> OwnKeys {
  var own: OwnKeys;
  for (var c = 0u; c < COLUMN_MATRICES; c++) {
    for (var s = 0u; s < 2u * STEPS; s++) { own[c][s] = load_key(first + c * N, kv_head, s); }
  }
  return own;
}

fn own_query(own: ptr<function, OwnQueries>, r: u32, s: u32) -> Left { return (*own)[r][s]; }
fn own_key(own: ptr<function, OwnKeys>, c: u32, s: u32) -> Right { return (*own)[c][s]; }

// To be unrolled.
fn steps() -> u32 { return STEPS; }
