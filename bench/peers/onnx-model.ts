/** ONNX models of a chain of one operation, written by hand: the format is a protobuf (onnx.proto3) and needs no more than this. */

const FLOAT = 1;

interface Weight {
  data: Float32Array;
  shape: number[];
}

/** LEB128, the format's whole numbers. */
function varint(value: number | bigint): number[] {
  const digits: number[] = [];
  for (let n = BigInt(value); ; n >>= 7n) {
    if (n < 128n) return [...digits, Number(n)];
    digits.push(Number(n & 127n) | 128);
  }
}
const number = (field: number, value: number | bigint): Uint8Array =>
  Uint8Array.from([...varint(field << 3), ...varint(value)]);
const bytes = (field: number, value: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.from([...varint((field << 3) | 2), ...varint(value.length)]), value]);
const text = (field: number, value: string): Uint8Array => bytes(field, Buffer.from(value));
const message = (...fields: Uint8Array[]): Uint8Array => Buffer.concat(fields);
const real = (field: number, value: number): Uint8Array =>
  Buffer.concat([Uint8Array.from(varint((field << 3) | 5)), new Uint8Array(new Float32Array([value]).buffer)]);

const valueInfo = (name: string, shape: readonly number[]): Uint8Array => {
  const dimensions = shape.map((n) => bytes(1, number(1, n)));
  return message(text(1, name), bytes(2, bytes(1, message(number(1, FLOAT), bytes(2, message(...dimensions))))));
};
const tensor = (name: string, { data, shape }: Weight): Uint8Array =>
  message(...shape.map((n) => number(1, n)), number(2, FLOAT), text(8, name), bytes(9, new Uint8Array(data.buffer)));
const integers = (name: string, values: number[]): Uint8Array =>
  message(
    number(1, values.length),
    number(2, 7),
    text(8, name),
    bytes(9, new Uint8Array(BigInt64Array.from(values, BigInt).buffer)),
  );
const attribute = (name: string, value: number): Uint8Array =>
  Number.isInteger(value)
    ? message(text(1, name), number(3, BigInt.asUintN(64, BigInt(value))), number(20, 2))
    : message(text(1, name), real(2, value), number(20, 1));
const node = (op: string, inputs: string[], output: string, attributes: Record<string, number> = {}): Uint8Array =>
  message(
    ...inputs.map((name) => text(1, name)),
    text(2, output),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value))),
  );

/**
 * `length` times x -> op(x, weight), then the first row alone, or all of it: x [rows, columns] is uploaded for each run, which a
 * long chain with a short result makes little of.
 */
export function chain(
  op: string,
  {
    shape,
    length,
    weight,
    attributes = {},
    whole = false,
  }: { shape: [number, number]; length: number; weight?: Weight; attributes?: Record<string, number>; whole?: boolean },
): Uint8Array {
  const inputs = weight ? ["w"] : [];
  const nodes = Array.from({ length }, (_, i) => node(op, [`x${i}`, ...inputs], `x${i + 1}`, attributes));
  const last = whole ? `x${length}` : "first";
  if (!whole) nodes.push(node("Slice", [`x${length}`, "start", "end"], "first"));
  const graph = message(
    ...nodes.map((n) => bytes(1, n)),
    text(2, op),
    ...(weight ? [bytes(5, tensor("w", weight))] : []),
    bytes(5, integers("start", [0])),
    bytes(5, integers("end", [1])),
    bytes(11, valueInfo("x0", shape)),
    bytes(12, valueInfo(last, whole ? shape : [1, shape[1]])),
  );
  return message(number(1, 8), bytes(7, graph), bytes(8, message(text(1, ""), number(2, 17))));
}
