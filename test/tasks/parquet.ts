/** A parquet file small enough to be written by hand: one row group, a plain uncompressed page for each required column. */

type Field = readonly [id: number, value: Value];
type Value =
  { i32: number } | { i64: number } | { text: string } | { struct: readonly Field[] } | { list: readonly Value[] };
type Kind = keyof { i32: 0; i64: 0; text: 0; struct: 0; list: 0 };

/** Type numbers of Thrift's compact protocol. */
const WIRE: Record<Kind, number> = { i32: 5, i64: 6, text: 8, struct: 12, list: 9 };
const kindOf = (value: Value): Kind => Object.keys(value)[0] as Kind;

function varint(n: number): number[] {
  const bytes: number[] = [];
  for (; n >= 0x80; n = Math.floor(n / 0x80)) bytes.push((n % 0x80) | 0x80);
  return [...bytes, n];
}

const utf8 = (text: string): number[] => [...new TextEncoder().encode(text)];

function encode(value: Value): number[] {
  if ("i32" in value) return varint(value.i32 * 2);
  if ("i64" in value) return varint(value.i64 * 2);
  if ("text" in value) return [...varint(utf8(value.text).length), ...utf8(value.text)];
  if ("list" in value) {
    const kind = WIRE[kindOf(value.list[0]!)];
    return [value.list.length * 16 + kind, ...value.list.flatMap(encode)];
  }
  let before = 0;
  const fields = value.struct.flatMap(([id, field]) => {
    const header = (id - before) * 16 + WIRE[kindOf(field)];
    before = id;
    return [header, ...encode(field)];
  });
  return [...fields, 0];
}

const BYTE_ARRAY = 6;
const INT64 = 2;

/** Columns of equal length: texts (BYTE_ARRAY, UTF8), or whole numbers (INT64), which readers give as bigints. */
export function parquet(columns: Record<string, readonly string[] | readonly number[]>): Uint8Array {
  const bytes = utf8("PAR1");
  const numRows = Object.values(columns)[0]!.length;
  const schema: Value[] = [
    {
      struct: [
        [4, { text: "schema" }],
        [5, { i32: Object.keys(columns).length }],
      ],
    },
  ];
  const chunks: Value[] = [];
  for (const [name, values] of Object.entries(columns)) {
    const type = typeof values[0] === "string" ? BYTE_ARRAY : INT64;
    const page = values.flatMap((value) => {
      const word = new DataView(new ArrayBuffer(typeof value === "string" ? 4 : 8));
      if (typeof value === "string") word.setUint32(0, utf8(value).length, true);
      else word.setBigInt64(0, BigInt(value), true);
      return [...new Uint8Array(word.buffer), ...(typeof value === "string" ? utf8(value) : [])];
    });
    const header = encode({
      struct: [
        [1, { i32: 0 }],
        [2, { i32: page.length }],
        [3, { i32: page.length }],
        [
          5,
          {
            struct: [
              [1, { i32: numRows }],
              [2, { i32: 0 }],
              [3, { i32: 3 }],
              [4, { i32: 3 }],
            ],
          },
        ],
      ],
    });
    const begin = bytes.length;
    bytes.push(...header, ...page);
    const size = bytes.length - begin;
    const utf8Type: Field[] = type === BYTE_ARRAY ? [[6, { i32: 0 }]] : [];
    schema.push({ struct: [[1, { i32: type }], [3, { i32: 0 }], [4, { text: name }], ...utf8Type] });
    chunks.push({
      struct: [
        [2, { i64: begin }],
        [
          3,
          {
            struct: [
              [1, { i32: type }],
              [2, { list: [{ i32: 0 }] }],
              [3, { list: [{ text: name }] }],
              [4, { i32: 0 }],
              [5, { i64: numRows }],
              [6, { i64: size }],
              [7, { i64: size }],
              [9, { i64: begin }],
            ],
          },
        ],
      ],
    });
  }
  const group: Value = {
    struct: [
      [1, { list: chunks }],
      [2, { i64: bytes.length }],
      [3, { i64: numRows }],
    ],
  };
  const footer = encode({
    struct: [
      [1, { i32: 1 }],
      [2, { list: schema }],
      [3, { i64: numRows }],
      [4, { list: [group] }],
    ],
  });
  const length = new Uint8Array(Uint32Array.of(footer.length).buffer);
  return Uint8Array.from([...bytes, ...footer, ...length, ...utf8("PAR1")]);
}
