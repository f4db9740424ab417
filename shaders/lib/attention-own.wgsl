// How a row comes to an attention tile where invocations know nothing of each other: each loads what it needs.

fn enter() {}

// The first and one past the last row of the other side that this tile needs.
fn first_of_tiles(row: u32) -> u32 { return row; }
fn last_of_tiles(row: u32) -> u32 { return row; }

fn take_q(at: u32) { load_q(at); }
fn take_k(at: u32) { load_k(at); }
fn take_v(at: u32) { load_v(at); }
fn take_dout(at: u32) { load_dout(at); }
