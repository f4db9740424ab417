// Attention of a tile of one row's queries to the keys and values in the cache's blocks. The file that includes this has
// positions, tables, slot_of and, in params, block_size and max_blocks.

var<private> first_block: u32; // of this layer in the cache

fn attend_paged() {
  begin_softmax();
  let length = positions[first_row] + 1u;
  // The block table's entry for key j, and where in that block it lies.
  var entry = slot_of(first_row) * params.max_blocks;
  var offset = 0u;
  for (var j = 0u; j < length; j += 4u) {
    let count = min(4u, length - j);
    var rows: vec4<u32>;
    for (var i = 0u; i < count; i++) {
      rows[i] = (first_block + tables[entry]) * params.block_size + offset;
      offset++;
      if (offset == params.block_size) {
        offset = 0u;
        entry++;
      }
    }
    for (var i = 0u; i < count; i++) {
      load_k(key_base(rows[i], kv_head));
      score(i);
    }
    var visible: array<u32, QUERIES>;
    for (var n = 0u; n < QUERIES; n++) { visible[n] = count; }
    weigh(visible);
    for (var i = 0u; i < count; i++) {
      load_v(key_base(rows[i], kv_head));
      add_value(i);
    }
  }
}
