// Keys and values in f32, rows of whole octets: twice 16 bytes an octet.

@group(0) @binding(1) var<storage, read> all_q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> all_k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> all_v: array<vec4<f32>>;

fn octet_at(row: u32, o: u32) -> u32 { return 2u * (row * HEAD_OCTETS + o); }

fn k_octet(row: u32, o: u32) -> Octet {
  let at = octet_at(row, o);
  return Octet(all_k[at], all_k[at + 1u]);
}

fn v_octet(row: u32, o: u32) -> Octet {
  let at = octet_at(row, o);
  return Octet(all_v[at], all_v[at + 1u]);
}

fn q_octet(row: u32, o: u32) -> Octet {
  let at = octet_at(row, o);
  return Octet(all_q[at], all_q[at + 1u]);
}
