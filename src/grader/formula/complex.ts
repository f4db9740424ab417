/**
 * A complex number and a bound on the rounding error of its calculation: the true value lies within `error` of it, to first
 * order in the machine's rounding unit.
 */
export type Complex = readonly [re: number, im: number, error: number];

const UNIT = Number.EPSILON;

/** A number that a float holds exactly. */
export const real = (x: number): Complex => [x, 0, 0];
/** A number that was rounded once. */
export const rounded = (x: number): Complex => [x, 0, UNIT * Math.abs(x)];

const NO_VALUE: Complex = [NaN, NaN, NaN];
/** Below it floats lose digits: what gets there is no value, and not 0. */
const SMALLEST = 2 ** -960;

export const size = ([a, b]: Complex): number => Math.hypot(a, b);

export const plus = ([a, b, e]: Complex, [c, d, f]: Complex): Complex => {
  const [re, im] = [a + c, b + d];
  return [re, im, e + f + UNIT * (Math.abs(re) + Math.abs(im))];
};
/** Real factors stay real, infinite ones too. */
export const times = (x: Complex, y: Complex): Complex => {
  const [[a, b, e], [c, d, f]] = [x, y];
  const [m, n] = [size(x), size(y)];
  if (m * n < SMALLEST && m !== 0 && n !== 0) return NO_VALUE;
  const error = m * f + n * e + e * f + 2 * UNIT * m * n;
  return b === 0 && d === 0 ? [a * c, 0, error] : [a * c - b * d, a * d + b * c, error];
};
export const over = (x: Complex, y: Complex): Complex => {
  const [c, d, f] = y;
  const norm = c * c + d * d;
  const [re, im] = times(x, [c, -d, 0]);
  const quotient: Complex = [re / norm, im / norm, 0];
  const error = (x[2] + size(quotient) * f) / Math.max(0, size(y) - f) + 4 * UNIT * size(quotient);
  return [quotient[0], quotient[1], error];
};
const exp = ([a, b, e]: Complex): Complex => {
  const scale = Math.exp(a);
  if (scale < SMALLEST) return NO_VALUE;
  return [scale * Math.cos(b), scale * Math.sin(b), scale * (Math.expm1(e) + 2 * UNIT)];
};
/** Principal value. */
export const log = (x: Complex): Complex => {
  const [re, im] = [Math.log(size(x)), Math.atan2(x[1], x[0])];
  return [re, im, x[2] / Math.max(0, size(x) - x[2]) + 2 * UNIT * (Math.abs(re) + Math.abs(im))];
};

/** Principal value; exact where both are whole. */
export function power(base: Complex, exponent: Complex): Complex {
  const [[a, b, e], [n, im, f]] = [base, exponent];
  if (im === 0) {
    if (n === 0 && f === 0) return real(1);
    if (a === 0 && b === 0 && n < 0) return NO_VALUE;
    if (b === 0 && (a >= 0 || Number.isInteger(n))) {
      const value = a ** n;
      if (a !== 0 && Math.abs(value) < SMALLEST) return NO_VALUE;
      // How far the power moves where the base moves by its error.
      const moved =
        n > 0 ? (Math.abs(a) + e) ** n - Math.abs(value) : Math.max(0, Math.abs(a) - e) ** n - Math.abs(value);
      const error = (e === 0 ? 0 : Math.abs(moved)) + (f === 0 ? 0 : Math.abs(value * Math.log(Math.abs(a)) * f));
      return [value, 0, error + UNIT * Math.abs(value)];
    }
    if (Number.isInteger(n) && f === 0 && Math.abs(n) <= 64) {
      let result = real(1);
      for (let i = 0; i < Math.abs(n); i++) result = times(result, base);
      return n < 0 ? over(real(1), result) : result;
    }
  }
  if (a === 0 && b === 0) return n > 0 ? [0, 0, e] : NO_VALUE;
  return exp(times(exponent, log(base)));
}

const I: Complex = [0, 1, 0];
const MINUS_I: Complex = [0, -1, 0];
const scaled = ([a, b, e]: Complex, factor: number): Complex => [a * factor, b * factor, e * Math.abs(factor)];
const minus = (x: Complex, y: Complex): Complex => plus(x, scaled(y, -1));

/** Functions of one argument by name; inverses are principal values. */
export const FUNCTIONS: Readonly<Record<string, (x: Complex) => Complex>> = {
  exp,
  ln: log,
  sqrt: (x) => power(x, real(0.5)),
  abs: (x) => [size(x), 0, x[2] + UNIT * size(x)],
  sin: (x) => over(minus(exp(times(I, x)), exp(times(MINUS_I, x))), [0, 2, 0]),
  cos: (x) => scaled(plus(exp(times(I, x)), exp(times(MINUS_I, x))), 0.5),
  tan: (x) => over(FUNCTIONS["sin"]!(x), FUNCTIONS["cos"]!(x)),
  cot: (x) => over(FUNCTIONS["cos"]!(x), FUNCTIONS["sin"]!(x)),
  sec: (x) => over(real(1), FUNCTIONS["cos"]!(x)),
  csc: (x) => over(real(1), FUNCTIONS["sin"]!(x)),
  sinh: (x) => scaled(minus(exp(x), exp(scaled(x, -1))), 0.5),
  cosh: (x) => scaled(plus(exp(x), exp(scaled(x, -1))), 0.5),
  tanh: (x) => over(FUNCTIONS["sinh"]!(x), FUNCTIONS["cosh"]!(x)),
  // -i ln(ix + sqrt(1 - x^2)), and what follows from it
  arcsin: (x) => times(MINUS_I, log(plus(times(I, x), power(minus(real(1), times(x, x)), real(0.5))))),
  arccos: (x) => minus([Math.PI / 2, 0, UNIT], FUNCTIONS["arcsin"]!(x)),
  arctan: (x) => times([0, 0.5, 0], minus(log(plus(real(1), times(MINUS_I, x))), log(plus(real(1), times(I, x))))),
  conjugate: ([a, b, e]) => [a, -b, e],
};
