import { Budget, BudgetError } from "./evaluate.ts";
import type { Expression } from "./expression.ts";

/** A fraction, its denominator above 0; not reduced, since reducing takes longer than all else. */
interface Rational {
  over: bigint;
  under: bigint;
}

const STEPS = 5_000;
/** Bits of the largest number that is calculated. */
const MOST_BITS = 20_000;
const LARGEST_FACTORIAL = 2_000;

/** The value of a formula of whole numbers and decimals as a fraction, exactly; null for any other, and for too large ones. */
export function rationalOf(x: Expression): Rational | null {
  try {
    return value(x, new Budget(STEPS));
  } catch (error) {
    if (error instanceof BudgetError) return null;
    throw error;
  }
}

export const sameRational = (a: Rational, b: Rational): boolean => a.over * b.under === b.over * a.under;

function value(x: Expression, budget: Budget): Rational | null {
  budget.spend();
  switch (x.kind) {
    case "number":
      return decimal(x.text ?? String(x.value));
    case "add":
    case "multiply": {
      const plus = ({ over: a, under: b }: Rational, { over: c, under: d }: Rational) => fraction(a * d + c * b, b * d);
      const times = ({ over: a, under: b }: Rational, { over: c, under: d }: Rational) => fraction(a * c, b * d);
      const join = x.kind === "add" ? plus : times;
      let result: Rational | null = { over: x.kind === "add" ? 0n : 1n, under: 1n };
      for (const term of x.terms) {
        const next: Rational | null = value(term, budget);
        result = next && result && join(result, next);
        if (result === null) return null;
      }
      return result;
    }
    case "power": {
      const [base, exponent] = [value(x.base, budget), value(x.exponent, budget)];
      const whole = exponent && wholeOf(exponent);
      return base && whole !== null ? raise(base, whole) : null;
    }
    case "call": {
      const of = x.name === "factorial" ? value(x.args[0]!, budget) : null;
      const n = of && wholeOf(of);
      if (n === null || n < 0n || n > LARGEST_FACTORIAL) return null;
      let product = 1n;
      for (let i = 2n; i <= n; i++) product *= i;
      return { over: product, under: 1n };
    }
    default:
      return null;
  }
}

const wholeOf = ({ over, under }: Rational): bigint | null => (over % under === 0n ? over / under : null);

function decimal(text: string): Rational | null {
  const [, whole, part = ""] = /^(-?\d+|-?(?=\.))(?:\.(\d+))?$/.exec(text) ?? [];
  return whole === undefined ? null : fraction(BigInt(`${whole}${part}`), 10n ** BigInt(part.length));
}

function raise({ over, under }: Rational, exponent: bigint): Rational | null {
  const size = exponent < 0n ? -exponent : exponent;
  if (size * BigInt(bits(over) + bits(under)) > MOST_BITS) return null;
  const [a, b] = [over ** size, under ** size];
  return exponent < 0n ? fraction(b, a) : fraction(a, b);
}

const bits = (n: bigint): number => n.toString(16).length * 4;

function fraction(over: bigint, under: bigint): Rational | null {
  if (under === 0n || bits(over) + bits(under) > MOST_BITS) return null;
  return under < 0n ? { over: -over, under: -under } : { over, under };
}
