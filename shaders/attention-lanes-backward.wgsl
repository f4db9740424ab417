// Gradients of attention for GPUs: attention.wgsl's, in its order of sums, to its bits.
//
//   attention_delta   delta    overwritten
//   attention_dq      dq       overwritten
//   attention_dkv     dk, dv   overwritten
//
// Parallelisation: as attention-lanes.wgsl, a row of the head over LANES invocations. attention_dq keeps QUERIES queries with their
// dout and dq, and takes eight keys at a time; attention_dkv keeps as many keys with their values, dk and dv, and takes eight
// queries at a time, of all heads that share the key head. A step's scores are complete when the lanes' shares are joined; each
// lane works the weight out of those that are its own, and hands it round. What is taken comes TAKEN at a time, by loops that a
// parameter bounds, and a second time where it is needed again: registers would not hold it.
//
// The host puts HEAD_PAIRS, LANES, QUERIES, TAKEN and THREADS in front, an exchange, and two texts that load octets.

struct Params {
  rows: u32,
  heads: u32,
  kv_heads: u32,
  scale: f32,
  steps: u32,
  turns: u32,  // of a step: STEP / TAKEN
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(6) var<storage, read> starts: array<u32>;
@group(0) @binding(7) var<storage, read> ends: array<u32>;
@group(0) @binding(8) var<storage, read> saved_lse: array<f32>;
@group(0) @binding(9) var<storage, read_write> delta: array<f32>;
@group(0) @binding(10) var<storage, read> saved_delta: array<f32>;
@group(0) @binding(11) var<storage, read_write> dq: array<vec2<f32>>;
@group(0) @binding(12) var<storage, read_write> dk: array<vec2<f32>>;
@group(0) @binding(13) var<storage, read_write> dv: array<vec2<f32>>;

fn dout_share(row: u32) -> Share {
  var share: Share;
  for (var i = 0u; i < OCTETS; i++) { share[i] = dout_octet(row, octet_in_row(i)); }
  return share;
}

fn out_share(row: u32) -> Share {
  var share: Share;
  for (var i = 0u; i < OCTETS; i++) { share[i] = out_octet(row, octet_in_row(i)); }
  return share;
}

// ---- delta ---------------------------------------------------------------------------------------------------------------

// A row of lanes has eight rows of heads.
@compute @workgroup_size(THREADS)
fn attention_delta(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) invocation: u32,
) {
  enter(invocation);
  lane = invocation % LANES;
  let first = (linear_group(wid, groups) * GROUPS + invocation / LANES) * STEP;
  let count = params.rows * params.heads;
  var shares: array<Eight, QUERIES>;
  for (var turn = 0u; turn < params.turns; turn++) {
    for (var i = 0u; i < TAKEN; i++) {
      let row = min(first + TAKEN * turn + i, count - 1u);
      shares[0][0][i] = dot_shares(kept(dout_share(row), 1.0), out_share(row));
    }
    shares = turned_all(shares);
  }
  let own = own_scores(lane, shares)[0];
  for (var i = 0u; i < OWN; i++) {
    let row = first + first_own_key(lane) + i;
    if (row < count) { delta[row] = own[i]; }
  }
}

// ---- dq ------------------------------------------------------------------------------------------------------------------

var<private> d_out: array<Share, QUERIES>;
var<private> d_query: array<Share, QUERIES>;

@compute @workgroup_size(THREADS)
fn attention_dq(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) invocation: u32,
) {
  enter(invocation);
  lane = invocation % LANES;
  kv_head = wid.y;
  let tile = (groups.x - 1u - wid.x) * TILE; // those with most keys first
  first_query = tile + invocation / LANES * QUERIES;
  load_queries();
  var start: array<u32, QUERIES>;
  var lse: array<f32, QUERIES>;
  var row_delta: array<f32, QUERIES>;
  for (var n = 0u; n < QUERIES; n++) {
    d_out[n] = kept(dout_share(query_row(n)), 1.0);
    start[n] = starts[row_of(n)];
    lse[n] = saved_lse[query_row(n)];
    row_delta[n] = saved_delta[query_row(n)];
  }

  let end = min(tile + TILE - 1u, query_count() - 1u) / group_size() + 1u;
  for (var j = starts[tile / group_size()]; j < end; j += STEP) {
    var rows = packed_rows(0u, j, end);
    var shares: array<Eight, QUERIES>;
    for (var turn = 0u; turn < params.turns; turn++) {
      for (var i = 0u; i < TAKEN; i++) {
        let key = k_share(rows[0][i]);
        for (var n = 0u; n < QUERIES; n++) { shares[n][0][i] = dot_shares(query[n], key); }
      }
      shares = turned_all(shares);
      rows = turned(rows);
    }
    var own = own_scores(lane, shares);
    apart();
    for (var turn = 0u; turn < params.turns; turn++) {
      for (var i = 0u; i < TAKEN; i++) {
        let value = v_share(rows[0][i]);
        for (var n = 0u; n < QUERIES; n++) { shares[n][0][i] = dot_shares(d_out[n], value); }
      }
      shares = turned_all(shares);
      rows = turned(rows);
    }
    let slopes = own_scores(lane, shares);
    for (var n = 0u; n < QUERIES; n++) {
      for (var i = 0u; i < OWN; i++) {
        let key = j + first_own_key(lane) + i;
        let ds = exp_f32(own[n][i] - lse[n]) * (slopes[n][i] - row_delta[n]) * params.scale;
        own[n][i] = select(0.0, ds, start[n] <= key && key <= row_of(n));
      }
    }
    var weights = all_weights(own);
    for (var turn = 0u; turn < params.turns; turn++) {
      for (var i = 0u; i < TAKEN; i++) {
        let key = k_share(rows[0][i]);
        for (var n = 0u; n < QUERIES; n++) { d_query[n] = add_scaled(d_query[n], key, weights[n][0][i]); }
      }
      weights = turned_all(weights);
      rows = turned(rows);
    }
  }

  for (var n = 0u; n < QUERIES; n++) {
    if (first_query + n >= query_count()) { continue; }
    for (var i = 0u; i < OCTETS; i++) {
      for (var p = 0u; p < 4u; p++) {
        let at = pair_in_row(i, p);
        if (at < HEAD_PAIRS) { dq[query_row(n) * HEAD_PAIRS + at] = pair_of(d_query[n], i, p); }
      }
    }
  }
}

// ---- dk and dv -----------------------------------------------------------------------------------------------------------

const KEYS = QUERIES; // of a row of lanes

var<private> d_key: array<Share, KEYS>;
var<private> d_value: array<Share, KEYS>;

// Keys and values are loaded for every step anew where a row is taken at a time, for want of registers.
const KEEPS = TAKEN > 1u;
var<private> kept_keys: array<Share, KEYS>;
var<private> kept_values: array<Share, KEYS>;

fn key_row(key: u32) -> u32 { return min(key, params.rows - 1u) * params.kv_heads + kv_head; }

fn load_keys(first_key: u32) -> array<Share, KEYS> {
  var keys: array<Share, KEYS>;
  for (var n = 0u; n < KEYS; n++) { keys[n] = kept(k_share(key_row(first_key + n)), params.scale); }
  return keys;
}

fn load_values(first_key: u32) -> array<Share, KEYS> {
  var values: array<Share, KEYS>;
  for (var n = 0u; n < KEYS; n++) { values[n] = kept(v_share(key_row(first_key + n)), 1.0); }
  return values;
}

@compute @workgroup_size(THREADS)
fn attention_dkv(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
  enter(invocation);
  lane = invocation % LANES;
  kv_head = wid.y;
  let tile = wid.x * GROUPS * KEYS;
  let first_key = tile + invocation / LANES * KEYS;
  var key_end: array<u32, KEYS>;
  for (var n = 0u; n < KEYS; n++) { key_end[n] = ends[min(first_key + n, params.rows - 1u)]; }
  if (KEEPS) {
    kept_keys = load_keys(first_key);
    kept_values = load_values(first_key);
  }

  // A key is seen by its own row and the later ones of its sequence.
  let end = ends[min(tile + GROUPS * KEYS, params.rows) - 1u];
  for (var head = wid.y * group_size(); head < (wid.y + 1u) * group_size(); head++) {
    for (var i = tile; i < end; i += STEP) {
      var rows: Rows;
      for (var r = 0u; r < STEP; r++) { rows[r / 4u][r % 4u] = min(i + r, end - 1u) * params.heads + head; }
      var keys = kept_keys;
      if (!KEEPS) { keys = load_keys(first_key); }
      var shares: array<Eight, KEYS>;
      for (var turn = 0u; turn < params.turns; turn++) {
        for (var r = 0u; r < TAKEN; r++) {
          let row = q_share(rows[0][r]);
          for (var n = 0u; n < KEYS; n++) { shares[n][0][r] = dot_shares(keys[n], row); }
        }
        shares = turned_all(shares);
        rows = turned(rows);
      }
      var own = own_scores(lane, shares);
      let first_own = i + first_own_key(lane);
      for (var n = 0u; n < KEYS; n++) {
        for (var r = 0u; r < OWN; r++) {
          let row = first_own + r;
          let is_seen = first_key + n <= row && row < key_end[n];
          let weight = exp_f32(own[n][r] - saved_lse[min(row, end - 1u) * params.heads + head]);
          own[n][r] = select(0.0, weight, is_seen);
        }
      }
      var weights = all_weights(own);
      var values = kept_values;
      if (!KEEPS) { values = load_values(first_key); }
      for (var turn = 0u; turn < params.turns; turn++) {
        for (var r = 0u; r < TAKEN; r++) {
          let row = dout_share(rows[0][r]);
          for (var n = 0u; n < KEYS; n++) {
            d_value[n] = add_scaled(d_value[n], row, weights[n][0][r]);
            shares[n][0][r] = dot_shares(values[n], row);
          }
        }
        shares = turned_all(shares);
        weights = turned_all(weights);
        rows = turned(rows);
      }
      let slopes = own_scores(lane, shares);
      for (var n = 0u; n < KEYS; n++) {
        for (var r = 0u; r < OWN; r++) {
          let row = first_own + r;
          let ds = own[n][r] * (slopes[n][r] - saved_delta[min(row, end - 1u) * params.heads + head]) * params.scale;
          own[n][r] = select(0.0, ds, first_key + n <= row && row < key_end[n]);
        }
      }
      weights = all_weights(own);
      for (var turn = 0u; turn < params.turns; turn++) {
        for (var r = 0u; r < TAKEN; r++) {
          let row = q_share(rows[0][r]);
          for (var n = 0u; n < KEYS; n++) { d_key[n] = add_scaled(d_key[n], row, weights[n][0][r]); }
        }
        weights = turned_all(weights);
        rows = turned(rows);
      }
    }
  }

  for (var n = 0u; n < KEYS; n++) {
    if (first_key + n >= params.rows) { continue; }
    let base = ((first_key + n) * params.kv_heads + kv_head) * HEAD_PAIRS;
    for (var i = 0u; i < OCTETS; i++) {
      for (var p = 0u; p < 4u; p++) {
        let at = pair_in_row(i, p);
        if (at >= HEAD_PAIRS) { continue; }
        dk[base + at] = pair_of(d_key[n], i, p);
        dv[base + at] = pair_of(d_value[n], i, p);
      }
    }
  }
}
