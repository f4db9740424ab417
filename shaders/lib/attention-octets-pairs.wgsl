// Keys and values whose rows end within an octet: pair by pair, with zeros behind the end.

@group(0) @binding(1) var<storage, read> all_q: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> all_k: array<pair>;
@group(0) @binding(3) var<storage, read> all_v: array<pair>;

fn pair_at(row: u32, p: u32) -> u32 { return row * HEAD_PAIRS + min(p, HEAD_PAIRS - 1u); }

fn k_pair(row: u32, p: u32) -> vec2<f32> { return select(vec2(0.0), unpack(all_k[pair_at(row, p)]), p < HEAD_PAIRS); }
fn v_pair(row: u32, p: u32) -> vec2<f32> { return select(vec2(0.0), unpack(all_v[pair_at(row, p)]), p < HEAD_PAIRS); }
fn q_pair(row: u32, p: u32) -> vec2<f32> { return select(vec2(0.0), all_q[pair_at(row, p)], p < HEAD_PAIRS); }

fn k_octet(row: u32, o: u32) -> Octet {
  let p = 4u * o;
  return Octet(vec4(k_pair(row, p), k_pair(row, p + 1u)), vec4(k_pair(row, p + 2u), k_pair(row, p + 3u)));
}

fn v_octet(row: u32, o: u32) -> Octet {
  let p = 4u * o;
  return Octet(vec4(v_pair(row, p), v_pair(row, p + 1u)), vec4(v_pair(row, p + 2u), v_pair(row, p + 3u)));
}

fn q_octet(row: u32, o: u32) -> Octet {
  let p = 4u * o;
  return Octet(vec4(q_pair(row, p), q_pair(row, p + 1u)), vec4(q_pair(row, p + 2u), q_pair(row, p + 3u)));
}
