import { FormatError } from "../errors.ts";

/** Puts little-endian values one after the other. */
export class Writer {
  readonly #parts: Uint8Array[] = [];

  u32(...values: number[]): this {
    return this.u32s(values);
  }

  u32s(values: readonly number[]): this {
    return this.#values(values, 4, (view, at, value) => view.setUint32(at, value, true));
  }

  f32s(values: readonly number[]): this {
    return this.#values(values, 4, (view, at, value) => view.setFloat32(at, value, true));
  }

  f64(...values: number[]): this {
    return this.#values(values, 8, (view, at, value) => view.setFloat64(at, value, true));
  }

  /** Bytes by their hexadecimal digits. */
  hex(digits: string): this {
    this.#parts.push(Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));
    return this;
  }

  done(): Uint8Array {
    const bytes = new Uint8Array(this.#parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  #values(values: readonly number[], size: number, set: (view: DataView, at: number, value: number) => void): this {
    const bytes = new Uint8Array(size * values.length);
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => set(view, size * i, value));
    this.#parts.push(bytes);
    return this;
  }
}

/** Takes little-endian values one after the other; reading past the end is a FormatError. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  u32s(count: number): number[] {
    const at = this.#take(4 * count);
    return Array.from({ length: count }, (_, i) => this.#view.getUint32(at + 4 * i, true));
  }

  f32s(count: number): number[] {
    const at = this.#take(4 * count);
    return Array.from({ length: count }, (_, i) => this.#view.getFloat32(at + 4 * i, true));
  }

  hex(bytes: number): string {
    const at = this.#take(bytes);
    return Array.from(this.#bytes.subarray(at, at + bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left !== 0) throw new FormatError(`expected the message to end, got ${left} more bytes`);
  }

  #take(bytes: number): number {
    const left = this.#bytes.length - this.#at;
    if (bytes > left) throw new FormatError(`expected ${bytes} more bytes of the message, got ${left}`);
    this.#at += bytes;
    return this.#at - bytes;
  }
}
