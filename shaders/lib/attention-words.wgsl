// Keys and values in bf16 in rows of whole octets, a word of 16 bytes each, and queries; zeros behind a row's end.

const ROW_OCTETS = HEAD_PAIRS / 4u;

@group(0) @binding(1) var<storage, read> all_q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> all_k: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> all_v: array<vec4<u32>>;

fn word_at(row: u32, octet: u32) -> u32 { return row * ROW_OCTETS + min(octet, ROW_OCTETS - 1u); }

fn k_word(row: u32, octet: u32) -> vec4<u32> {
  return select(vec4(0u), all_k[word_at(row, octet)], octet < ROW_OCTETS);
}

fn v_word(row: u32, octet: u32) -> vec4<u32> {
  return select(vec4(0u), all_v[word_at(row, octet)], octet < ROW_OCTETS);
}

fn q_eight(row: u32, octet: u32) -> Eight {
  let at = 2u * word_at(row, octet);
  let is_there = octet < ROW_OCTETS;
  return Eight(select(vec4(0.0), all_q[at], is_there), select(vec4(0.0), all_q[at + 1u], is_there));
}
