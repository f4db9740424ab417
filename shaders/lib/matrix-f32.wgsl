// Subgroup matrices with f32 components: how eight neighbouring numbers of an operand lie in memory. Nothing is rounded, so
// nothing is scaled.

alias component = f32;
const WORDS = 2u; // of 16 bytes, in an octet
alias Octet = array<vec4<u32>, WORDS>;
alias PairWords = array<u32, WORDS>;

const WEIGHT_EXPONENT = 0;

fn pair_words(v: vec2<f32>) -> PairWords {
  return PairWords(bitcast<u32>(v.x), bitcast<u32>(v.y));
}

fn to_octet(low: vec4<f32>, high: vec4<f32>) -> Octet {
  return Octet(bitcast<vec4<u32>>(low), bitcast<vec4<u32>>(high));
}

fn weight_octet(low: vec4<f32>, high: vec4<f32>) -> Octet {
  return to_octet(low, high);
}

fn halving_word(n: i32) -> u32 { return 0u; }
fn halved_octet(octet: Octet, word: u32) -> Octet { return octet; }

fn row_exponent(largest: i32) -> i32 {
  return 0;
}
