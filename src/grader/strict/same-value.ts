import type { Budget } from "../formula/budget.ts";
import { size, times, type Complex } from "../formula/complex.ts";
import { certainlyDiffer } from "../formula/enclosure.ts";
import { evaluate, hash, type Constants } from "../formula/evaluate.ts";
import { decimal, rationalOf, sameRational, type Rational, type RationalSymbols } from "../formula/exact.ts";
import { isConstant, partsOf, symbolsOf, type Expression } from "../formula/expression.ts";

/** Symbols that are numbers. */
export const CONSTANTS: Constants = {
  "\\pi": [Math.PI, 0, Number.EPSILON],
  e: [Math.E, 0, Number.EPSILON],
  i: [0, 1, 0],
};

const EXACT_SAMPLES = 3;
const SAMPLES = 4;
/** How many times its bound an error may be, and how large beside the values: more, and the sample tells nothing. */
const SLACK = 16;
const LARGEST_ERROR = 1e-6;
/** The same where both values cancel to nothing. */
const LARGEST_ERROR_OF_ZERO = 1e-9;

/**
 * Rational values of the symbols. pi and e take any as well: two polynomials of them are equal only where they are the same
 * polynomial.
 */
const drawn =
  (sample: number, { keepConstants = false } = {}): RationalSymbols =>
  (name) => {
    if (name === "i" || name === "\\infty") return null;
    if (keepConstants && Object.hasOwn(CONSTANTS, name) && sample > 0) return drawn(0)(name);
    const over = BigInt(2 + Math.floor(hash(`over ${sample} ${name}`) * 9973));
    return {
      over: hash(`sign ${sample} ${name}`) < 0.5 ? -over : over,
      under: BigInt(1 + Math.floor(hash(`under ${sample} ${name}`) * 97)),
    };
  };

/** Whether two values agree to the error of their calculation; null where that error hides it. */
function near(x: Complex, y: Complex): boolean | null {
  if (![...x, ...y].every(Number.isFinite)) return null;
  const error = SLACK * (x[2] + y[2]);
  if (Math.hypot(x[0] - y[0], x[1] - y[1]) > error) return false;
  return error <= Math.max(LARGEST_ERROR * Math.max(size(x), size(y)), LARGEST_ERROR_OF_ZERO) ? true : null;
}

/** 1 and -1 for the two infinities, 0 for anything else. */
export function infinity(x: Expression): -1 | 0 | 1 {
  if (x.kind === "symbol") return x.name === "\\infty" ? 1 : 0;
  if (x.kind !== "multiply" || x.terms.length !== 2) return 0;
  const [factor, symbol] = [rationalOf(x.terms[0]!), infinity(x.terms[1]!)];
  return factor === null || factor.over === 0n ? 0 : factor.over > 0n ? symbol : ((-symbol || 0) as -1 | 0 | 1);
}

/** Whether two formulas are one and the same: at every drawn value of their symbols, exactly where those of both are rational. */
export function sameValue(a: Expression, b: Expression, budget: Budget): boolean {
  const infinite = [infinity(a), infinity(b)];
  if (infinite[0] !== 0 || infinite[1] !== 0) return infinite[0] === infinite[1];
  const exact = sameExactly(a, b);
  if (exact !== null) return exact;
  if (isWritten(a, b)) return true;
  const constant = isConstant(a, CONSTANTS) && isConstant(b, CONSTANTS);
  const samples = constant ? 1 : SAMPLES;
  const domains = domainsOf([a, b]);
  let seen = 0;
  for (let sample = 0; sample < samples; sample++) {
    const values = { ...CONSTANTS, ...valuesIn(domains, sample) };
    const agree = near(evaluate(a, sample, values, budget), evaluate(b, sample, values, budget));
    if (agree === false) return false;
    if (agree) seen++;
  }
  return seen > 0 && !(constant && certainlyDiffer(a, b, budget));
}

/** Whether two formulas are written alike: they are the same, however large. */
function isWritten(a: Expression, b: Expression): boolean {
  if (a.kind === "number" && b.kind === "number") return a.value === b.value && a.text === b.text;
  const [p, r] = [partsOf(a), partsOf(b)];
  const named = (x: Expression) => `${x.kind} ${"name" in x ? x.name : "operator" in x ? x.operator : ""}`;
  return named(a) === named(b) && p.length === r.length && p.every((part, i) => isWritten(part, r[i]!));
}

/** Functions whose arguments' symbols are whole numbers, and those that are asked of real ones. */
const OF_WHOLE = new Set(["factorial", "binomial"]);
const OF_REAL = new Set(["abs", "floor", "ceil"]);

/** What symbols stand for where functions of whole or of real numbers say so; all others are complex. */
function domainsOf(formulas: readonly Expression[]): ReadonlyMap<string, "whole" | "real"> {
  const domains = new Map<string, "whole" | "real">();
  const collect = (x: Expression): void => {
    if (x.kind === "call" && (OF_WHOLE.has(x.name) || OF_REAL.has(x.name)))
      for (const name of symbolsOf(x))
        if (!Object.hasOwn(CONSTANTS, name) && domains.get(name) !== "whole")
          domains.set(name, OF_WHOLE.has(x.name) ? "whole" : "real");
    partsOf(x).forEach(collect);
  };
  formulas.forEach(collect);
  return domains;
}

/** Values there: whole ones from 5 on, and real ones of both signs. */
const valuesIn = (domains: ReadonlyMap<string, "whole" | "real">, sample: number): Constants =>
  Object.fromEntries(
    Array.from(domains, ([name, domain]) => {
      if (domain === "whole") return [name, [5 + 3 * sample + Math.floor(3 * hash(`whole ${name}`)), 0, 0]];
      const sign = hash(`sign ${name}`) < 0.5 === (sample % 2 === 0) ? -1 : 1;
      return [name, [sign * (0.4 + 1.3 * hash(`real ${sample} ${name}`)), 0, 0]];
    }),
  );

/** Null where a value is not rational. */
function sameExactly(a: Expression, b: Expression): boolean | null {
  for (let sample = 0; sample < EXACT_SAMPLES; sample++) {
    const [x, y] = [a, b].map((side) => rationalOf(side, drawn(sample)));
    if (!x || !y) return null;
    if (!sameRational(x, y)) return false;
  }
  return true;
}

/**
 * The sign of the one constant that a is of b wherever the symbols are drawn: 1 or -1, or "any" where it is not real. Null where
 * there is none, or it is zero.
 */
export function proportion(a: Expression, b: Expression, budget: Budget): 1 | -1 | "any" | null {
  const exact = exactProportion(a, b);
  if (exact !== undefined) return exact;
  const values = Array.from({ length: SAMPLES }, (_, sample) =>
    [a, b].map((side) => evaluate(side, sample, CONSTANTS, budget)),
  ).filter((pair) => pair.flat().every(Number.isFinite)) as [Complex, Complex][];
  const [x, y] = values[0] ?? [];
  if (!x || !y || values.length < 2 || [x, y].some((value) => size(value) <= SLACK * value[2])) return null;
  // x / y = u / v for all others.
  if (!values.every(([u, v]) => near(times(x, v), times(u, y)) === true)) return null;
  const ratio = times(x, [y[0], -y[1], y[2]]);
  if (Math.abs(ratio[1]) > SLACK * ratio[2]) return "any";
  return ratio[0] > 0 ? 1 : -1;
}

/** Undefined where a value is not rational. */
function exactProportion(a: Expression, b: Expression): 1 | -1 | null | undefined {
  const values: [Rational, Rational][] = [];
  for (let sample = 0; sample < EXACT_SAMPLES; sample++) {
    const [x, y] = [a, b].map((side) => rationalOf(side, drawn(sample, { keepConstants: true })));
    if (!x || !y) return undefined;
    values.push([x, y]);
  }
  const [x, y] = values[0]!;
  if (x.over === 0n || y.over === 0n) return null;
  const same = values.every(([u, v]) => x.over * v.over * y.under * u.under === u.over * y.over * x.under * v.under);
  return same ? (x.over > 0n === y.over > 0n ? 1 : -1) : null;
}

/** A float of it, without its error. */
export const realValue = (x: Expression, budget: Budget): number | null => {
  const sign = infinity(x);
  if (sign !== 0) return sign * Infinity;
  if (!isConstant(x, CONSTANTS)) return null;
  const exact = rationalOf(x);
  if (exact) return quotient(exact);
  const [re, im, error] = evaluate(x, 0, CONSTANTS, budget);
  return Number.isFinite(re) && Math.abs(im) <= SLACK * error ? re : null;
};

const quotient = ({ over, under }: Rational): number => {
  const value = Number(over) / Number(under);
  if (Number.isFinite(value)) return value;
  // Too large for floats: 60 bits of the quotient are enough.
  return Number((over * 2n ** 60n) / under) / 2 ** 60;
};

/** Whether two formulas are the same, or one is a decimal that rounds the other. */
export const sameNumber = (a: Expression, b: Expression, budget: Budget): boolean =>
  sameValue(a, b, budget) || isRounding(a, b, budget) || isRounding(b, a, budget);

/** Digits that a decimal must have to be the rounding of another number, and how near it must lie. */
const FEWEST_DIGITS = 4;
const CLOSE = 10_000n;

/**
 * Whether a decimal is the other number rounded, or cut, at its last digit: 0.3333 is one third. Numbers that have an end as
 * decimals are not rounded: they are other numbers.
 */
function isRounding(numeral: Expression, x: Expression, budget: Budget): boolean {
  const written = decimalOf(numeral);
  if (!written || written.digits < FEWEST_DIGITS) return false;
  const { value, unit } = written;
  const exact = rationalOf(x);
  if (exact && terminates(exact)) return false;
  const float = exact ? null : realValue(x, budget);
  if (!exact && (float === null || !Number.isFinite(float))) return false;
  const target = exact ?? binary(float!);
  const [off, size] = [difference(value, target), magnitude(target)];
  return below(off, { over: unit.over, under: unit.under }) && below({ ...off, over: off.over * CLOSE }, size);
}

const magnitude = ({ over, under }: Rational): Rational => ({ over: over < 0n ? -over : over, under });
const difference = (a: Rational, b: Rational): Rational =>
  magnitude({ over: a.over * b.under - b.over * a.under, under: a.under * b.under });
const below = (a: Rational, b: Rational): boolean => a.over * b.under <= b.over * a.under;

/** Whether a fraction has an end as a decimal: reduced, it is over a product of twos and fives. */
function terminates({ over, under }: Rational): boolean {
  let [divisor, remainder] = [under, over];
  while (remainder !== 0n) [divisor, remainder] = [remainder, divisor % remainder];
  let rest = under / (divisor < 0n ? -divisor : divisor);
  for (const prime of [2n, 5n]) while (rest % prime === 0n) rest /= prime;
  return rest === 1n;
}

/** A float as the fraction that it is. */
function binary(x: number): Rational {
  let [over, under] = [x, 1n];
  while (!Number.isInteger(over)) [over, under] = [over * 2, under * 2n];
  return { over: BigInt(over), under };
}

/** A numeral with a point, its sign and a power of ten before or behind: its value, the unit of its last digit, its digits. */
function decimalOf(x: Expression): { value: Rational; unit: Rational; digits: number } | null {
  if (x.kind === "number" && x.text?.includes(".")) {
    const places = x.text.length - x.text.indexOf(".") - 1;
    const digits = x.text.replace(".", "").replace(/^0+/, "").length;
    return { value: decimal(x.text)!, unit: { over: 1n, under: 10n ** BigInt(places) }, digits };
  }
  if (x.kind !== "multiply" || x.terms.length !== 2) return null;
  const [a, b] = x.terms as [Expression, Expression];
  const [inner, scale] = [decimalOf(b), rationalOf(a)];
  if (inner && scale && (magnitude(scale).over === scale.under || isPowerOfTen(a))) return scaled(inner, scale);
  const [first, power] = [decimalOf(a), isPowerOfTen(b) ? rationalOf(b) : null];
  return first && power ? scaled(first, power) : null;
}

const isPowerOfTen = (x: Expression): boolean => x.kind === "power" && x.base.kind === "number" && x.base.value === 10;

const scaled = ({ value, unit, digits }: NonNullable<ReturnType<typeof decimalOf>>, by: Rational) => ({
  value: { over: value.over * by.over, under: value.under * by.under },
  unit: magnitude({ over: unit.over * by.over, under: unit.under * by.under }),
  digits,
});
