/**
 * bfloat16 on the host: the upper half of a float32, rounded to nearest even.
 * On the device two of them share a u32, the even element in the low half (see kernel.ts).
 */

/** Float32 values to bfloat16 bits. NaN stays NaN. */
export function packBf16(values: Float32Array): Uint16Array {
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const packed = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const b = source[i]!;
    packed[i] = (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return packed;
}

/** bfloat16 bits to float32 values, exactly. */
export function unpackBf16(packed: Uint16Array): Float32Array {
  const values = new Float32Array(packed.length);
  const target = new Uint32Array(values.buffer);
  for (let i = 0; i < packed.length; i++) target[i] = packed[i]! << 16;
  return values;
}
