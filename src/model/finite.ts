import type { Storage } from "../gpu/tensor.ts";

/** Index of the first value that is infinite or not a number, in bytes as they lie on the device; -1 if there is none. */
export function firstNonFinite(bytes: Uint8Array, storage: Storage): number {
  if (storage === "bf16") {
    const values = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
    return values.findIndex((bits) => (bits & 0x7f80) === 0x7f80);
  }
  const values = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return values.findIndex((bits) => (bits & 0x7f800000) === 0x7f800000);
}
