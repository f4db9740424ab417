// The same for rows that end within an octet: pair by pair, in bf16 u32 each.

@group(0) @binding(1) var<storage, read> all_q: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> all_k: array<pair>;
@group(0) @binding(3) var<storage, read> all_v: array<pair>;

fn pair_at(row: u32, p: u32) -> u32 { return row * HEAD_PAIRS + min(p, HEAD_PAIRS - 1u); }

fn k_word(row: u32, octet: u32) -> vec4<u32> {
  var word: vec4<u32>;
  for (var i = 0u; i < 4u; i++) {
    let p = 4u * octet + i;
    word[i] = select(0u, all_k[pair_at(row, p)], p < HEAD_PAIRS);
  }
  return word;
}

fn v_word(row: u32, octet: u32) -> vec4<u32> {
  var word: vec4<u32>;
  for (var i = 0u; i < 4u; i++) {
    let p = 4u * octet + i;
    word[i] = select(0u, all_v[pair_at(row, p)], p < HEAD_PAIRS);
  }
  return word;
}

fn q_pair(row: u32, p: u32) -> vec2<f32> { return select(vec2(0.0), all_q[pair_at(row, p)], p < HEAD_PAIRS); }

fn q_eight(row: u32, octet: u32) -> Eight {
  let p = 4u * octet;
  return Eight(vec4(q_pair(row, p), q_pair(row, p + 1u)), vec4(q_pair(row, p + 2u), q_pair(row, p + 3u)));
}
