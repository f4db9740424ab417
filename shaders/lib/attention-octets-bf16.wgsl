// Keys and values in bf16, rows of whole octets: 16 bytes an octet.

@group(0) @binding(2) var<storage, read> all_k: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> all_v: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> all_q: array<vec4<f32>>;

fn widened(words: vec4<u32>) -> Octet {
  let even = bitcast<vec4<f32>>(words << vec4(16u));
  let odd = bitcast<vec4<f32>>(words & vec4(0xffff0000u));
  return Octet(vec4(even.x, odd.x, even.y, odd.y), vec4(even.z, odd.z, even.w, odd.w));
}

fn k_octet(row: u32, o: u32) -> Octet { return widened(all_k[row * HEAD_OCTETS + o]); }
fn v_octet(row: u32, o: u32) -> Octet { return widened(all_v[row * HEAD_OCTETS + o]); }

fn q_octet(row: u32, o: u32) -> Octet {
  let at = 2u * (row * HEAD_OCTETS + o);
  return Octet(all_q[at], all_q[at + 1u]);
}
