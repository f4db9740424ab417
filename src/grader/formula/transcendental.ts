/** Functions of fixed-point numbers: whole multiples of 2^-bits, with what is lost on the way kept below one of them. */

/** Bits that are calculated with beyond those of the result, and the largest argument for which they are enough. */
const GUARD = 192n;
const LARGEST_BITS = 6n;

const product = (a: bigint, b: bigint, bits: bigint): bigint => (a * b) >> bits;
const magnitude = (x: bigint): bigint => (x < 0n ? -x : x);

/** Sum of terms until they vanish. */
function series(first: bigint, next: (term: bigint, n: bigint) => bigint): bigint {
  let [sum, term] = [first, first];
  for (let n = 1n; term !== 0n && term !== -1n; n++) {
    term = next(term, n);
    sum += term;
  }
  return sum;
}

/** Times that an argument below 2^LARGEST_BITS is halved before its series. */
const HALVINGS = LARGEST_BITS + 8n;

const within = (x: bigint, bits: bigint): boolean => magnitude(x) < 1n << (bits + LARGEST_BITS);

function wideExp(x: bigint, bits: bigint): bigint {
  const small = x >> HALVINGS;
  let result = series(1n << bits, (term, n) => product(term, small, bits) / n);
  for (let i = 0n; i < HALVINGS; i++) result = product(result, result, bits);
  return result;
}

function wideCos(x: bigint, bits: bigint): bigint {
  const small = x >> HALVINGS;
  const square = product(small, small, bits);
  const one = 1n << bits;
  let result = series(one, (term, n) => -product(term, square, bits) / (2n * n * (2n * n - 1n)));
  for (let i = 0n; i < HALVINGS; i++) result = 2n * product(result, result, bits) - one;
  return result;
}

/** Artanh of a fraction, by its powers. */
function artanh(over: bigint, under: bigint, bits: bigint): bigint {
  const ratio = (over << bits) / under;
  const square = product(ratio, ratio, bits);
  let [sum, power] = [0n, ratio];
  for (let n = 1n; power !== 0n && power !== -1n; n += 2n) {
    sum += power / n;
    power = product(power, square, bits);
  }
  return sum;
}

/** Of a number above 0: that of a number from 1 to 2, and of the power of two beside it. */
function wideLn(x: bigint, bits: bigint): bigint {
  const power = BigInt(x.toString(2).length) - 1n - bits;
  const [one, part] = [1n << bits, power > 0n ? x >> power : x << -power];
  return 2n * (artanh(part - one, part + one, bits) + power * artanh(1n, 3n, bits));
}

/** Of one part of a whole number, by its powers. */
function arctan(under: bigint, bits: bigint): bigint {
  let [sum, power, sign] = [0n, (1n << bits) / under, 1n];
  for (let n = 1n; power !== 0n; n += 2n) {
    sum += (sign * power) / n;
    [power, sign] = [power / (under * under), -sign];
  }
  return sum;
}

/** Machin's formula. */
const widePi = (bits: bigint): bigint => 4n * (4n * arctan(5n, bits) - arctan(239n, bits));

/** Null for arguments that are too large. */
const guarded =
  (f: (x: bigint, bits: bigint) => bigint) =>
  (x: bigint, bits: bigint): bigint | null =>
    within(x, bits) ? f(x << GUARD, bits + GUARD) >> GUARD : null;

export const pi = (bits: bigint): bigint => widePi(bits + GUARD) >> GUARD;
export const exp = guarded(wideExp);
export const cos = guarded(wideCos);
/** Of a number above 0, however large. */
export const ln = (x: bigint, bits: bigint): bigint => wideLn(x << GUARD, bits + GUARD) >> GUARD;
