import type { Budget } from "./budget.ts";
import { rationalOf } from "./exact.ts";
import type { Expression } from "./expression.ts";
import { cos, exp, ln, pi } from "./transcendental.ts";

/** A real number that lies between two whole multiples of 2^-BITS. */
interface Enclosure {
  low: bigint;
  high: bigint;
}

const BITS = 512n;
const ONE = 1n << BITS;
const LARGEST_ROOT = 12;
const LARGEST_POWER = 64;
/** Numbers of more bits are left alone: a step is a few microseconds. */
const MOST_BITS = 4_096;
const STEPS = 20;
/** The same for a function's series. */
const STEPS_OF_FUNCTION = 1000;

/**
 * Whether two sums, products, powers, roots, exponentials, logarithms, sines and cosines of rational numbers, pi and e certainly
 * differ, by 150 digits of them: floats have 16, and take \sqrt{10^{20} + 1} for 10^{10}. False for formulas of anything else.
 */
export function certainlyDiffer(a: Expression, b: Expression, budget: Budget): boolean {
  const [x, y] = [enclose(a, budget), enclose(b, budget)];
  return x !== null && y !== null && (x.high < y.low || y.high < x.low);
}

function enclose(x: Expression, budget: Budget): Enclosure | null {
  budget.spend(STEPS);
  const result = enclosureOf(x, budget);
  return result && bitsOf(result.high) + bitsOf(result.low) <= MOST_BITS ? result : null;
}

function enclosureOf(x: Expression, budget: Budget): Enclosure | null {
  const rational = x.kind === "add" || x.kind === "multiply" ? null : rationalOf(x);
  if (rational) {
    const low = floor(rational.over << BITS, rational.under);
    return { low, high: low + 1n };
  }
  switch (x.kind) {
    case "add":
    case "multiply": {
      const join = x.kind === "add" ? sum : product;
      let result: Enclosure | null = null;
      for (const term of x.terms) {
        const next = enclose(term, budget);
        result = next && (result ? join(result, next) : next);
        if (result === null) return null;
      }
      return result;
    }
    case "power": {
      const exponent = rationalOf(x.exponent);
      const base = enclose(x.base, budget);
      const exact = base && exponent && raised(base, exponent.over, exponent.under);
      const powers = exact ? null : [base && logarithm(base, budget), enclose(x.exponent, budget)];
      return powers?.[0] && powers[1] ? exponential(product(powers[0], powers[1]), budget) : exact;
    }
    case "symbol":
      if (x.name === "\\pi") return around(pi(BITS));
      return x.name === "e" ? exponential({ low: ONE, high: ONE }, budget) : null;
    case "call": {
      const args = x.args.map((arg) => enclose(arg, budget));
      return args.every((arg) => arg !== null) ? enclosureOfCall(x.name, args, budget) : null;
    }
    default:
      return null;
  }
}

function enclosureOfCall(name: string, args: readonly Enclosure[], budget: Budget): Enclosure | null {
  const [argument, second] = args;
  if (!argument || args.length > 2) return null;
  switch (name) {
    case "sqrt":
      return raised(argument, 1n, 2n);
    case "root":
      return second && second.low % ONE === 0n && second.low > 0n ? raised(argument, 1n, second.low >> BITS) : null;
    case "exp":
      return exponential(argument, budget);
    case "ln":
      return logarithm(argument, budget);
    case "log": {
      const [over, under] = [logarithm(argument, budget), second ? logarithm(second, budget) : null];
      const inverse = under && raised(under, -1n, 1n);
      return over && inverse && product(over, inverse);
    }
    case "cos":
      return cosine(argument, budget);
    case "sin": {
      const quarter = around(pi(BITS) / 2n);
      return cosine({ low: quarter.low - argument.high, high: quarter.high - argument.low }, budget);
    }
    default:
      return null;
  }
}

/** What a calculation that loses less than one unit says. */
const around = (x: bigint): Enclosure => ({ low: x - 1n, high: x + 1n });

function monotone(f: typeof exp, { low, high }: Enclosure, budget: Budget): Enclosure | null {
  budget.spend(STEPS_OF_FUNCTION);
  const [least, most] = [f(low, BITS), f(high, BITS)];
  return least === null || most === null ? null : { low: least - 1n, high: most + 1n };
}

const exponential = (x: Enclosure, budget: Budget) => monotone(exp, x, budget);
const logarithm = (x: Enclosure, budget: Budget) => (x.low > 0n ? monotone(ln, x, budget) : null);

/** A cosine moves by no more than its argument. */
function cosine({ low, high }: Enclosure, budget: Budget): Enclosure | null {
  budget.spend(STEPS_OF_FUNCTION);
  const value = cos(low, BITS);
  return value === null ? null : { low: value - (high - low) - 1n, high: value + (high - low) + 1n };
}

const bitsOf = (n: bigint): number => n.toString(16).length * 4;
const floor = (over: bigint, under: bigint): bigint => over / under - (over % under < 0n ? 1n : 0n);

const sum = (a: Enclosure, b: Enclosure): Enclosure => ({ low: a.low + b.low, high: a.high + b.high });

function product(a: Enclosure, b: Enclosure): Enclosure {
  const ends = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high];
  const [low, high] = [ends.reduce((x, y) => (x < y ? x : y)), ends.reduce((x, y) => (x > y ? x : y))];
  return { low: low >> BITS, high: (high >> BITS) + 1n };
}

/** A power with a rational exponent, of a number above 0 unless the exponent is whole. */
function raised(base: Enclosure, over: bigint, under: bigint): Enclosure | null {
  const [times, degree] = reduced(over < 0n ? -over : over, under);
  if (times > LARGEST_POWER || degree > LARGEST_ROOT || (degree > 1n && base.low < 0n)) return null;
  let result: Enclosure = { low: ONE, high: ONE };
  for (let i = 0n; i < times; i++) result = product(result, base);
  if (degree > 1n) {
    if (result.low < 0n) return null;
    const scale = BITS * (degree - 1n);
    result = { low: root(result.low << scale, degree), high: root(result.high << scale, degree) + 1n };
  }
  if (over >= 0n) return result;
  if (result.low <= 0n && result.high >= 0n) return null;
  return { low: floor(ONE * ONE, result.high), high: floor(ONE * ONE, result.low) + 1n };
}

function reduced(over: bigint, under: bigint): [bigint, bigint] {
  let [a, b] = [over, under];
  while (b !== 0n) [a, b] = [b, a % b];
  return a === 0n ? [0n, 1n] : [over / a, under / a];
}

/** The whole part of a root, by Newton's method from above. */
function root(n: bigint, degree: bigint): bigint {
  if (n < 2n) return n;
  let x = 1n << BigInt(Math.ceil(bitsOf(n) / Number(degree)));
  for (;;) {
    const next = ((degree - 1n) * x + n / x ** (degree - 1n)) / degree;
    if (next >= x) return x;
    x = next;
  }
}
