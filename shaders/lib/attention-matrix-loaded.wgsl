// A subgroup's own rows where registers do not hold them: loaded from storage, or a cache, for every tile of the other side.

// The first row, and which head's.
struct OwnQueries {
  first: u32,
  head: u32,
}

struct OwnKeys {
  first: u32,
  kv_head: u32,
}

fn own_queries(first: u32, head: u32) -> OwnQueries { return OwnQueries(first, head); }
fn own_keys(first: u32, kv_head: u32) -> OwnKeys { return OwnKeys(first, kv_head); }

fn own_query(own: ptr<function, OwnQueries>, r: u32, s: u32) -> Left {
  return load_query((*own).first + r * M, (*own).head, s);
}

fn own_key(own: ptr<function, OwnKeys>, c: u32, s: u32) -> Right {
  return load_key((*own).first + c * N, (*own).kv_head, s);
}

// Not to be unrolled.
fn steps() -> u32 { return params.steps; }
