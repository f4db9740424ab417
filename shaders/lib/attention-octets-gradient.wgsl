// What attention gave and its gradient, rows of whole octets: twice 16 bytes an octet.

@group(0) @binding(4) var<storage, read> all_dout: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> all_out: array<vec4<f32>>;

fn dout_octet(row: u32, o: u32) -> Octet {
  let at = 2u * (row * HEAD_OCTETS + o);
  return Octet(all_dout[at], all_dout[at + 1u]);
}

fn out_octet(row: u32, o: u32) -> Octet {
  let at = 2u * (row * HEAD_OCTETS + o);
  return Octet(all_out[at], all_out[at + 1u]);
}
