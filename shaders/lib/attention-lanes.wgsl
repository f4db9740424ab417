// A row of a head spread over LANES neighbouring invocations, its lanes: for attention-lanes.wgsl and attention-lanes-backward.wgsl.
// How the lanes of a row tell each other is in attention-exchange-*.wgsl, how they load an octet in attention-octets-*.wgsl.

const HEAD_OCTETS = (HEAD_PAIRS + 3u) / 4u;
const OCTETS = (HEAD_OCTETS + LANES - 1u) / LANES; // of a lane
const GROUPS = THREADS / LANES;
const OWN = STEP / LANES; // keys of a step that a lane weighs

alias Octet = array<vec4<f32>, 2>;
alias Own = array<f32, OWN>;

fn first_own_key(lane: u32) -> u32 { return lane * STEP / LANES; }

// Joined in halves.
fn sum_of_shares(shares: array<f32, LANES>) -> f32 {
  var sums = shares;
  if (LANES > 4u) { for (var s = 0u; s < 4u; s++) { sums[s] += sums[s + 4u]; } }
  if (LANES > 2u) { for (var s = 0u; s < 2u; s++) { sums[s] += sums[s + 2u]; } }
  if (LANES > 1u) { for (var s = 0u; s < 1u; s++) { sums[s] += sums[s + 1u]; } }
  return sums[0];
}

// Of a lane: OCTETS of a row.
alias Share = array<Octet, OCTETS>;
alias Values = Share;
// Rows of a step.
alias Rows = array<vec4<u32>, 2>;

// A step is taken in turns, TAKEN rows at a time, 4 or 1: the first ones, which then go to the end.
fn turned(rows: Rows) -> Rows {
  if (TAKEN == 4u) { return Rows(rows[1], rows[0]); }
  return Rows(vec4(rows[0].yzw, rows[1].x), vec4(rows[1].yzw, rows[0].x));
}
fn turned_all(all: array<Eight, QUERIES>) -> array<Eight, QUERIES> {
  var result: array<Eight, QUERIES>;
  for (var n = 0u; n < QUERIES; n++) {
    let low = all[n][0];
    let high = all[n][1];
    if (TAKEN == 4u) { result[n] = Eight(high, low); } else { result[n] = Eight(vec4(low.yzw, high.x), vec4(high.yzw, low.x)); }
  }
  return result;
}

var<private> lane: u32;
var<private> kv_head: u32;
var<private> query: array<Share, QUERIES>;

fn group_size() -> u32 { return params.heads / params.kv_heads; }

// Octet i of a lane's share.
fn octet_of(i: u32) -> u32 { return i * LANES + lane; }
fn octet_in_row(i: u32) -> u32 { return min(octet_of(i), HEAD_OCTETS - 1u); }

// What lies behind a row's end in these meets zeros in the other operand, and in sums is not stored.
fn q_share(row: u32) -> Share {
  var share: Share;
  for (var i = 0u; i < OCTETS; i++) { share[i] = q_octet(row, octet_in_row(i)); }
  return share;
}

fn k_share(row: u32) -> Share {
  var share: Share;
  for (var i = 0u; i < OCTETS; i++) { share[i] = k_octet(row, octet_in_row(i)); }
  return share;
}

fn v_share(row: u32) -> Share {
  var share: Share;
  for (var i = 0u; i < OCTETS; i++) { share[i] = v_octet(row, octet_in_row(i)); }
  return share;
}

// A row that is kept, with zeros behind its end.
fn kept(share: Share, factor: f32) -> Share {
  var result: Share;
  for (var i = 0u; i < OCTETS; i++) {
    let is_there = octet_of(i) < HEAD_OCTETS;
    for (var h = 0u; h < 2u; h++) { result[i][h] = select(vec4(0.0), share[i][h] * factor, is_there); }
  }
  return result;
}

fn dot_shares(a: Share, b: Share) -> f32 {
  var total = vec2(0.0);
  for (var i = 0u; i < OCTETS; i++) {
    for (var h = 0u; h < 2u; h++) {
      total = fma(a[i][h].xy, b[i][h].xy, total);
      total = fma(a[i][h].zw, b[i][h].zw, total);
    }
  }
  return total.x + total.y;
}

fn add_scaled(total: Share, share: Share, factor: f32) -> Share {
  var result: Share;
  for (var i = 0u; i < OCTETS; i++) {
    for (var h = 0u; h < 2u; h++) { result[i][h] = fma(vec4(factor), share[i][h], total[i][h]); }
  }
  return result;
}

fn scaled(share: Share, factor: f32) -> Share {
  var result: Share;
  for (var i = 0u; i < OCTETS; i++) {
    for (var h = 0u; h < 2u; h++) { result[i][h] = share[i][h] * factor; }
  }
  return result;
}

// Pair p of a share's octet i, and whether and where in the row it is.
fn pair_of(share: Share, i: u32, p: u32) -> vec2<f32> {
  let four = share[i][p / 2u];
  return select(four.xy, four.zw, p % 2u == 1u);
}
fn pair_in_row(i: u32, p: u32) -> u32 { return 4u * octet_of(i) + p; }

// ---- queries of a tile -------------------------------------------------------------------------------------------------

const TILE = GROUPS * QUERIES;

// Queries of a key head are counted row by row; QUERIES neighbouring ones to a row of lanes, from `first_query` on.
var<private> first_query: u32;

fn query_count() -> u32 { return params.rows * group_size(); }
fn query_at(n: u32) -> u32 { return min(first_query + n, query_count() - 1u); }
fn row_of(n: u32) -> u32 { return query_at(n) / group_size(); }
fn head_of(n: u32) -> u32 { return kv_head * group_size() + query_at(n) % group_size(); }
fn query_row(n: u32) -> u32 { return row_of(n) * params.heads + head_of(n); } // in q's numbering

fn load_queries() {
  for (var n = 0u; n < QUERIES; n++) { query[n] = kept(q_share(query_row(n)), params.scale); }
}

// Rows of a step's keys in k's and v's numbering, by row and head. Those from `end` on repeat the last.
fn packed_rows(start: u32, j: u32, end: u32) -> Rows {
  var rows: Rows;
  for (var i = 0u; i < STEP; i++) { rows[i / 4u][i % 4u] = (start + min(j + i, end - 1u)) * params.kv_heads + kv_head; }
  return rows;
}
