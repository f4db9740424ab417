import { Budget, BudgetError } from "./budget.ts";
import { isConstant, type Expression } from "./expression.ts";

/** A fraction, its denominator above 0; not reduced, since reducing takes longer than all else. */
export interface Rational {
  over: bigint;
  under: bigint;
}

/** Values of symbols; null for one that has no rational value, such as i. */
export type RationalSymbols = (name: string) => Rational | null;

const STEPS = 5_000;
/** Bits of the largest number that is calculated, and how many of them take as long as a step. */
const MOST_BITS = 20_000;
const BITS_A_STEP = 512;
const LARGEST_FACTORIAL = 2_000;

const NO_VALUES: RationalSymbols = () => null;

/** The value of a formula of whole numbers and decimals as a fraction, exactly; null for any other, and for too large ones. */
export function rationalOf(x: Expression, symbols: RationalSymbols = NO_VALUES): Rational | null {
  try {
    return value(x, symbols, new Budget(STEPS));
  } catch (error) {
    if (error instanceof BudgetError) return null;
    throw error;
  }
}

export const sameRational = (a: Rational, b: Rational): boolean => a.over * b.under === b.over * a.under;

function value(x: Expression, symbols: RationalSymbols, budget: Budget): Rational | null {
  budget.spend();
  const of = (part: Expression) => value(part, symbols, budget);
  switch (x.kind) {
    case "number":
      return decimal(x.text ?? String(x.value));
    case "symbol":
      return symbols(x.name);
    case "add":
    case "multiply": {
      const plus = ({ over: a, under: b }: Rational, { over: c, under: d }: Rational) => fraction(a * d + c * b, b * d);
      const times = ({ over: a, under: b }: Rational, { over: c, under: d }: Rational) => fraction(a * c, b * d);
      const join = x.kind === "add" ? plus : times;
      let result: Rational | null = { over: x.kind === "add" ? 0n : 1n, under: 1n };
      for (const term of x.terms) {
        const next = of(term);
        result = next && result && join(result, next);
        if (result === null) return null;
        budget.spend(bits(result.over) / BITS_A_STEP);
      }
      return result;
    }
    case "power": {
      const [base, exponent] = [of(x.base), of(x.exponent)];
      const whole = exponent && wholeOf(exponent);
      return base && whole !== null ? raise(base, whole) : null;
    }
    case "call":
      return x.args.length === 1 && isConstant(x.args[0]!) ? applied(x.name, of(x.args[0]!), budget) : null;
    default:
      return null;
  }
}

/** A function of a number, where its value is rational. */
function applied(name: string, argument: Rational | null, budget: Budget): Rational | null {
  if (argument === null) return null;
  const { over, under } = argument;
  if (name === "abs") return { over: over < 0n ? -over : over, under };
  if (name === "floor") return whole(floor(over, under));
  if (name === "ceil") return whole(-floor(-over, under));
  if (name === "sqrt") {
    const root = over < 0n ? null : wholeRoot(over * under);
    return root === null ? null : { over: root, under };
  }
  const n = name === "factorial" ? wholeOf(argument) : null;
  if (n === null || n < 0n || n > LARGEST_FACTORIAL) return null;
  let product = 1n;
  for (let i = 2n; i <= n; i++) product *= i;
  budget.spend(Number(n));
  return whole(product);
}

const whole = (over: bigint): Rational => ({ over, under: 1n });
const wholeOf = ({ over, under }: Rational): bigint | null => (over % under === 0n ? over / under : null);
const floor = (over: bigint, under: bigint): bigint => over / under - (over < 0n && over % under !== 0n ? 1n : 0n);

/** The square root of a square by Newton's method, null for any other number. */
function wholeRoot(n: bigint): bigint | null {
  if (n < 2n) return n;
  let root = 1n << BigInt(Math.ceil(bits(n) / 2));
  for (;;) {
    const next = (root + n / root) >> 1n;
    if (next >= root) return root * root === n ? root : null;
    root = next;
  }
}

export function decimal(text: string): Rational | null {
  const [, digits, part = ""] = /^(-?\d+|-?(?=\.))(?:\.(\d+))?$/.exec(text) ?? [];
  return digits === undefined ? null : fraction(BigInt(`${digits}${part}`), 10n ** BigInt(part.length));
}

function raise({ over, under }: Rational, exponent: bigint): Rational | null {
  const times = exponent < 0n ? -exponent : exponent;
  const digits = over.toString(2).length + under.toString(2).length;
  if (times * BigInt(digits) > MOST_BITS) return null;
  const [a, b] = [over ** times, under ** times];
  return exponent < 0n ? fraction(b, a) : fraction(a, b);
}

const bits = (n: bigint): number => n.toString(16).length * 4;

function fraction(over: bigint, under: bigint): Rational | null {
  if (under === 0n || bits(over) + bits(under) > MOST_BITS) return null;
  return under < 0n ? { over: -over, under: -under } : { over, under };
}
