// What attention gave and its gradient, with rows that end within an octet: pair by pair, with zeros behind the end.

@group(0) @binding(4) var<storage, read> all_dout: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> all_out: array<vec2<f32>>;

fn dout_pair(row: u32, p: u32) -> vec2<f32> { return select(vec2(0.0), all_dout[pair_at(row, p)], p < HEAD_PAIRS); }
fn out_pair(row: u32, p: u32) -> vec2<f32> { return select(vec2(0.0), all_out[pair_at(row, p)], p < HEAD_PAIRS); }

fn dout_octet(row: u32, o: u32) -> Octet {
  let p = 4u * o;
  return Octet(
    vec4(dout_pair(row, p), dout_pair(row, p + 1u)),
    vec4(dout_pair(row, p + 2u), dout_pair(row, p + 3u)),
  );
}

fn out_octet(row: u32, o: u32) -> Octet {
  let p = 4u * o;
  return Octet(vec4(out_pair(row, p), out_pair(row, p + 1u)), vec4(out_pair(row, p + 2u), out_pair(row, p + 3u)));
}
