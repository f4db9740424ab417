// Attention of a tile of one row's queries to the keys and values in the cache's blocks. The file that includes this has
// positions, tables, slot_of and, in params, block_size and max_blocks.

var<private> first_block: u32; // of this layer in the cache

// Where a key is: the block table's entry, and where in that block.
struct Place {
  entry: u32,
  offset: u32,
}

fn row_at(place: Place) -> u32 { return (first_block + tables[place.entry]) * params.block_size + place.offset; }

fn after(place: Place) -> Place {
  if (place.offset + 1u == params.block_size) { return Place(place.entry + 1u, 0u); }
  return Place(place.entry, place.offset + 1u);
}

fn attend_paged() {
  load_queries();
  begin_softmax();
  let length = positions[first_row] + 1u;
  var step_place = Place(slot_of(first_row) * params.max_blocks, 0u);
  for (var begin = 0u; begin < length; begin += BLOCK) {
    begin_block();
    let block_end = min(begin + BLOCK, length);
    for (var j = begin; j < block_end; j += STEP) {
      let count = min(STEP, length - j);
      var place = step_place;
      for (var i = 0u; i < count; i++) {
        load_k(key_base(row_at(place), kv_head));
        score();
        place = after(place);
      }
      var visible: array<u32, QUERIES>;
      for (var n = 0u; n < QUERIES; n++) { visible[n] = count; }
      weigh(count, visible);
      place = step_place;
      for (var i = 0u; i < count; i++) {
        load_v(key_base(row_at(place), kv_head));
        add_value();
        place = after(place);
      }
      step_place = place;
    }
    end_block();
  }
}
