import type { Budget } from "./budget.ts";
import { FUNCTIONS, log, over, plus, power, real, rounded, times, type Complex } from "./complex.ts";
import type { Expression } from "./expression.ts";

/** Values of symbols that have one, such as pi; all others get a number that depends on name and sample alone. */
export type Constants = Readonly<Record<string, Complex>>;

/** FNV-1a with a last mixing, to [0, 1). */
export function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return ((h ^ (h >>> 15)) >>> 0) / 2 ** 32;
}

/** A complex number of size around one, off both axes, drawn by its name. */
const arbitrary = (name: string): Complex => [
  (hash(`side ${name}`) < 0.5 ? -1 : 1) * (0.4 + 1.3 * hash(`re ${name}`)),
  (hash(`sign ${name}`) < 0.5 ? -1 : 1) * (0.2 + 0.8 * hash(`im ${name}`)),
  0,
];

const digits = ([a, b]: Complex): string => `${a.toPrecision(7)},${b.toPrecision(7)}`;

const MOST_TERMS = 2000;

/** The value at one sample of the symbols. Functions without a rule are arbitrary functions of their arguments' values. */
export function evaluate(x: Expression, sample: number, constants: Constants, budget: Budget): Complex {
  budget.spend();
  const value = (part: Expression) => evaluate(part, sample, constants, budget);
  switch (x.kind) {
    case "number":
      return Number.isSafeInteger(x.value) ? real(x.value) : rounded(x.value);
    case "symbol":
      return constants[x.name] ?? arbitrary(`${sample} ${x.name}`);
    case "add":
      return x.terms.reduce<Complex>((sum, term) => plus(sum, value(term)), real(0));
    case "multiply":
      return x.terms.reduce<Complex>((product, term) => times(product, value(term)), real(1));
    case "power":
      return power(value(x.base), value(x.exponent));
    case "relation":
      return arbitrary(`${sample} ${x.operator} ${digits(value(x.left))} ${digits(value(x.right))}`);
    case "call":
      return evaluateCall(x.name, x.args, sample, constants, budget);
  }
}

function evaluateCall(
  name: string,
  args: readonly Expression[],
  sample: number,
  constants: Constants,
  budget: Budget,
): Complex {
  if (name === "sum" || name === "product") {
    const series = evaluateSeries(name, args, sample, constants, budget);
    if (series) return series;
  }
  if (name === "integral" && args.length === 4) {
    const integral = evaluateIntegral(args, sample, constants, budget);
    if (integral) return integral;
  }
  const values = args.map((arg) => evaluate(arg, sample, constants, budget));
  const [first, second] = values as [Complex, Complex];
  if (values.length === 1 && Object.hasOwn(FUNCTIONS, name)) return FUNCTIONS[name]!(first);
  if (!values.flat().every(Number.isFinite)) return [NaN, NaN, NaN];
  const whole = values.every(([a, b]) => Math.abs(b) < 1e-12 && Number.isFinite(a));
  if (name === "log" && values.length === 2) return over(log(first), log(second));
  if (name === "root") return power(first, over(real(1), second));
  if (name === "floor" && whole) return real(Math.floor(first[0] + 1e-9));
  if (name === "ceil" && whole) return real(Math.ceil(first[0] - 1e-9));
  if (name === "factorial" && whole && Number.isInteger(first[0]) && first[0] >= 0) return rounded(factorial(first[0]));
  if (name === "binomial" && whole && values.every(([a]) => Number.isInteger(a)) && Math.abs(first[0]) < 1e6)
    return rounded(binomial(first[0], second[0], budget));
  return arbitrary(`${sample} ${name} ${values.map(digits).join(" ")}`);
}

/** Infinite where a float does not hold it. */
const factorial = (n: number): number => (n > 170 ? Infinity : n <= 1 ? 1 : n * factorial(n - 1));

function binomial(n: number, k: number, budget: Budget): number {
  if (k < 0 || k > n) return 0;
  let result = 1;
  for (let i = 1; i <= Math.min(k, n - k); i++) {
    budget.spend();
    result = (result * (n - Math.min(k, n - k) + i)) / i;
  }
  return result;
}

/** A sum or product over whole numbers: args are the index, from, to, and the term. Null where the bounds are no numbers. */
function evaluateSeries(
  name: string,
  args: readonly Expression[],
  sample: number,
  constants: Constants,
  budget: Budget,
): Complex | null {
  const [index, from, to, term] = args as [Expression, Expression, Expression, Expression];
  if (index.kind !== "symbol") return null;
  const bounds = [from, to].map((bound) => evaluate(bound, sample, constants, budget));
  const [first, last] = bounds.map(([a]) => a) as [number, number];
  const fine = bounds.every(([a, b]) => b === 0 && Number.isInteger(a));
  if (!fine || last - first > MOST_TERMS) return null;
  let result = real(name === "sum" ? 0 : 1);
  for (let i = first; i <= last; i++) {
    const at = evaluate(term, sample, { ...constants, [index.name]: real(i) }, budget);
    result = name === "sum" ? plus(result, at) : times(result, at);
  }
  return result;
}

/** Nodes and weights on [0, 1] of the five-point Gauss-Legendre rule. */
const GAUSS = [
  [0.04691007703066802, 0.11846344252809454],
  [0.23076534494715845, 0.23931433524968324],
  [0.5, 0.28444444444444444],
  [0.7692346550528415, 0.23931433524968324],
  [0.953089922969332, 0.11846344252809454],
] as const;
const PIECES = 40;
/** Relative error that the rule is trusted to keep to. */
const QUADRATURE = 1e-10;

/** A definite integral over a finite real interval: args are the integrand, its variable, from and to. Null for other bounds. */
function evaluateIntegral(
  args: readonly Expression[],
  sample: number,
  constants: Constants,
  budget: Budget,
): Complex | null {
  const [integrand, variable, from, to] = args as [Expression, Expression, Expression, Expression];
  if (variable.kind !== "symbol") return null;
  const [a, b] = [from, to].map((bound) => evaluate(bound, sample, constants, budget)) as [Complex, Complex];
  if (a[1] !== 0 || b[1] !== 0 || !Number.isFinite(a[0]) || !Number.isFinite(b[0])) return null;
  const width = (b[0] - a[0]) / PIECES;
  let total = real(0);
  for (let piece = 0; piece < PIECES; piece++) {
    for (const [node, weight] of GAUSS) {
      const at = { ...constants, [variable.name]: real(a[0] + (piece + node) * width) };
      total = plus(total, times(evaluate(integrand, sample, at, budget), real(weight * width)));
    }
  }
  return [total[0], total[1], total[2] + QUADRATURE * Math.hypot(total[0], total[1])];
}
