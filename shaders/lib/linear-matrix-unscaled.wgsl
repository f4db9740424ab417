// Products whose terms are staged as they are.
const SCALES_TERMS = false;

fn fetch_scale(term: u32) -> vec2<u32> { return vec2(0u); }
fn stage_scale(place: u32, scale: vec2<u32>) {}
fn staged_left(octet: Octet, place: u32) -> Octet { return octet; }
