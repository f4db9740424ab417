// Attention of a tile of one row's queries to the keys and values in the cache's blocks. The file that includes this has
// positions, tables, slot_of and, in params, block_size and max_blocks.

var<private> first_block: u32; // of this layer in the cache

// Where a key is: the block table's entry, where in that block, and the row of the cache. The table is read once a block, and
// once past a last block that is full, for a row that nothing reads.
struct Place {
  entry: u32,
  offset: u32,
  row: u32,
}

fn first_of_block(entry: u32) -> Place {
  return Place(entry, 0u, (first_block + tables[entry]) * params.block_size);
}

fn after(place: Place) -> Place {
  if (place.offset + 1u == params.block_size) { return first_of_block(place.entry + 1u); }
  return Place(place.entry, place.offset + 1u, place.row + 1u);
}

fn attend_paged() {
  load_queries();
  begin_softmax();
  let length = positions[first_row] + 1u;
  var step_place = first_of_block(slot_of(first_row) * params.max_blocks);
  for (var begin = 0u; begin < length; begin += BLOCK) {
    begin_block();
    let block_end = min(begin + BLOCK, length);
    for (var j = begin; j < block_end; j += STEP) {
      let count = min(STEP, length - j);
      var place = step_place;
      for (var i = 0u; i < count; i++) {
        load_k(key_base(place.row, kv_head));
        score();
        place = after(place);
      }
      var visible: array<u32, QUERIES>;
      for (var n = 0u; n < QUERIES; n++) { visible[n] = count; }
      weigh(count, visible);
      place = step_place;
      for (var i = 0u; i < count; i++) {
        load_v(key_base(place.row, kv_head));
        add_value();
        place = after(place);
      }
      step_place = place;
    }
    end_block();
  }
}
