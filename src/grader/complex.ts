/** A complex number. */
export type Complex = readonly [re: number, im: number];

export const real = (x: number): Complex => [x, 0];
export const plus = ([a, b]: Complex, [c, d]: Complex): Complex => [a + c, b + d];
/** Real factors stay real, infinite ones too. */
export const times = ([a, b]: Complex, [c, d]: Complex): Complex =>
  b === 0 && d === 0 ? [a * c, 0] : [a * c - b * d, a * d + b * c];
export const size = ([a, b]: Complex): number => Math.hypot(a, b);
export const over = (x: Complex, [c, d]: Complex): Complex => {
  const norm = c * c + d * d;
  const [re, im] = times(x, [c, -d]);
  return [re / norm, im / norm];
};
export const exp = ([a, b]: Complex): Complex => [Math.exp(a) * Math.cos(b), Math.exp(a) * Math.sin(b)];
/** Principal value. */
export const log = (x: Complex): Complex => [Math.log(size(x)), Math.atan2(x[1], x[0])];

/** Principal value; exact where both are whole. */
export function power(base: Complex, exponent: Complex): Complex {
  if (exponent[1] === 0) {
    const n = exponent[0];
    if (n === 0) return [1, 0];
    if (base[0] === 0 && base[1] === 0 && n < 0) return [NaN, NaN];
    if (base[1] === 0 && (base[0] >= 0 || Number.isInteger(n))) return [base[0] ** n, 0];
    if (Number.isInteger(n) && Math.abs(n) <= 64) {
      let result: Complex = [1, 0];
      for (let i = 0; i < Math.abs(n); i++) result = times(result, base);
      return n < 0 ? over([1, 0], result) : result;
    }
  }
  if (base[0] === 0 && base[1] === 0) return exponent[0] > 0 ? [0, 0] : [NaN, NaN];
  return exp(times(exponent, log(base)));
}

const I: Complex = [0, 1];
const scaled = ([a, b]: Complex, factor: number): Complex => [a * factor, b * factor];

/** Functions of one argument by name; inverses are principal values. */
export const FUNCTIONS: Readonly<Record<string, (x: Complex) => Complex>> = {
  exp,
  ln: log,
  sqrt: (x) => power(x, [0.5, 0]),
  abs: (x) => [size(x), 0],
  sin: (x) => over(plus(exp(times(I, x)), scaled(exp(times([0, -1], x)), -1)), [0, 2]),
  cos: (x) => scaled(plus(exp(times(I, x)), exp(times([0, -1], x))), 0.5),
  tan: (x) => over(FUNCTIONS["sin"]!(x), FUNCTIONS["cos"]!(x)),
  cot: (x) => over(FUNCTIONS["cos"]!(x), FUNCTIONS["sin"]!(x)),
  sec: (x) => over([1, 0], FUNCTIONS["cos"]!(x)),
  csc: (x) => over([1, 0], FUNCTIONS["sin"]!(x)),
  sinh: (x) => scaled(plus(exp(x), scaled(exp(scaled(x, -1)), -1)), 0.5),
  cosh: (x) => scaled(plus(exp(x), exp(scaled(x, -1))), 0.5),
  tanh: (x) => over(FUNCTIONS["sinh"]!(x), FUNCTIONS["cosh"]!(x)),
  // -i ln(ix + sqrt(1 - x^2)), and what follows from it
  arcsin: (x) => times([0, -1], log(plus(times(I, x), power(plus([1, 0], scaled(times(x, x), -1)), [0.5, 0])))),
  arccos: (x) => plus([Math.PI / 2, 0], scaled(FUNCTIONS["arcsin"]!(x), -1)),
  arctan: (x) =>
    times([0, 0.5], plus(log(plus([1, 0], times([0, -1], x))), scaled(log(plus([1, 0], times(I, x))), -1))),
  conjugate: ([a, b]) => [a, -b],
};
