// x W^T: both operands along the sum.
const LEFT_ALONG = true;
const RIGHT_ALONG = true;
alias Fetched = vec4<u32>; // still bf16

fn staged_octet(fetched: Fetched, place: u32) -> Octet { return widened(fetched); }

fn left_shape() -> vec2<u32> { return vec2(params.rows, octets_in(params.inputs)); }
fn right_shape() -> vec2<u32> { return vec2(params.outputs, octets_in(params.inputs)); }

fn right_row(first_column: u32, column: u32) -> u32 { return first_column + column; }
fn right_place(row: u32) -> u32 { return (params.row0 + row) * octets_in(params.inputs); }
fn right_octet(place: u32, at: u32, column: u32) -> Fetched { return octets[place + at]; }
