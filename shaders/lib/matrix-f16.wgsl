enable f16;

// Subgroup matrices with f16 components: how eight neighbouring numbers of an operand lie in memory.

alias component = f16;
const WORDS = 1u; // of 16 bytes, in an octet
alias Octet = array<vec4<u32>, WORDS>;
alias PairWords = array<u32, WORDS>;

// Exponent that a scaled row's largest number gets: two below f16's largest, 2^15, so that rounding up does not overflow. The
// products of two rows stay below 2^31, and numbers down to 2^-28 of the row's largest keep all 11 bits.
const TOP = 14;
// Weights are exact in f16 from 2^-21 to 4094 in magnitude; larger ones are cut off there, smaller ones lose bits.
const WEIGHT_EXPONENT = 4;
const LARGEST = 65504.0;

fn pair_words(v: vec2<f32>) -> PairWords {
  return PairWords(bitcast<u32>(vec2<f16>(v)));
}

fn to_octet(low: vec4<f32>, high: vec4<f32>) -> Octet {
  return Octet(vec4(bitcast<vec2<u32>>(vec4<f16>(low)), bitcast<vec2<u32>>(vec4<f16>(high))));
}

fn weight_octet(low: vec4<f32>, high: vec4<f32>) -> Octet {
  let scale = f32(1 << u32(WEIGHT_EXPONENT));
  let limit = vec4(LARGEST);
  return to_octet(clamp(low * scale, -limit, limit), clamp(high * scale, -limit, limit));
}

// 2^-n as two factors, each a normal f16, and an octet times it; 0 beyond 2^-28.
fn halving_word(n: i32) -> u32 {
  let first = min(n, TOP);
  return bitcast<u32>(vec2<f16>(f16(power_of_two(-first)), f16(select(0.0, power_of_two(first - n), n <= 2 * TOP))));
}

fn halved_octet(octet: Octet, word: u32) -> Octet {
  let factors = bitcast<vec2<f16>>(word);
  let low = bitcast<vec4<f16>>(octet[0].xy) * factors.x * factors.y;
  let high = bitcast<vec4<f16>>(octet[0].zw) * factors.x * factors.y;
  return Octet(vec4(bitcast<vec2<u32>>(low), bitcast<vec2<u32>>(high)));
}

// The exponent by which a row is scaled down, from that of its largest number: within what f32 can invert.
fn row_exponent(largest: i32) -> i32 {
  // Infinity and NaN are not scaled: they are to come out as they went in.
  return select(max(largest - TOP, -100), 0, largest == 128);
}
