import type { Budget } from "../formula/budget.ts";
import { size } from "../formula/complex.ts";
import { evaluate } from "../formula/evaluate.ts";
import { rationalOf } from "../formula/exact.ts";
import {
  add,
  call,
  divide,
  multiply,
  negate,
  number,
  power,
  substitute,
  subtract,
  type Expression,
} from "../formula/expression.ts";
import { CONSTANTS, realValue, sameValue } from "./same-value.ts";

type Relation = Expression & { kind: "relation" };

/** Absolute values that are taken apart, each both ways. */
const MOST_BARS = 3;

/** Where a relation of one variable may change between true and false: null where its sides are no polynomials of degree 2 at most. */
export function boundaries(relation: Relation, name: string, budget: Budget): Expression[] | null {
  const places: Expression[] = [];
  for (const side of withoutBars(subtract(relation.left, relation.right), MOST_BARS)) {
    if (hasBars(side)) return null;
    const roots = rootsOf(side, name, budget);
    if (roots === null) return null;
    places.push(...roots);
  }
  return places;
}

const hasBars = (x: Expression): boolean => barsIn(x) !== null;

/** The first absolute value in sums and products. */
function barsIn(x: Expression): (Expression & { kind: "call" }) | null {
  if (x.kind === "call") return x.name === "abs" ? x : null;
  if (x.kind !== "add" && x.kind !== "multiply") return null;
  for (const term of x.terms) {
    const found = barsIn(term);
    if (found) return found;
  }
  return null;
}

function replaced(x: Expression, part: Expression, by: Expression): Expression {
  if (x === part) return by;
  return x.kind === "add" || x.kind === "multiply"
    ? { ...x, terms: x.terms.map((term) => replaced(term, part, by)) }
    : x;
}

/** The formula with each absolute value as its argument and as the argument's negative. */
function withoutBars(x: Expression, most: number): Expression[] {
  const bars = most > 0 ? barsIn(x) : null;
  if (!bars) return [x];
  const inner = bars.args[0]!;
  return [inner, negate(inner)].flatMap((by) => withoutBars(replaced(x, bars, by), most - 1));
}

/** Real roots of a polynomial of degree 2 at most, found from three of its values and confirmed by three more. */
function rootsOf(x: Expression, name: string, budget: Budget): Expression[] | null {
  const at = (value: Expression) => substitute(x, name, value);
  const [atZero, atOne, atMinusOne] = [0, 1, -1].map((value) => tidied(at(number(value)))) as [
    Expression,
    Expression,
    Expression,
  ];
  const half = divide(number(1), number(2));
  const a = tidied(subtract(multiply(half, add(atOne, atMinusOne)), atZero));
  const b = tidied(multiply(half, subtract(atOne, atMinusOne)));
  const polynomial = (value: Expression) => add(multiply(a, power(value, number(2))), multiply(b, value), atZero);
  for (const value of [2, 3, -5].map(number)) if (!sameValue(at(value), polynomial(value), budget)) return null;
  const [leading, slope] = [realValue(a, budget), realValue(b, budget)];
  if (leading === null || slope === null) return null;
  if (isZero(a, budget)) return isZero(b, budget) ? [] : [tidied(negate(divide(atZero, b)))];
  const discriminant = tidied(subtract(power(b, number(2)), multiply(number(4), a, atZero)));
  const width = realValue(discriminant, budget);
  if (width === null) return null;
  if (width < 0 && !isZero(discriminant, budget)) return [];
  const root = call("sqrt", discriminant);
  return [add(negate(b), root), subtract(negate(b), root)].map((over) => tidied(divide(over, multiply(number(2), a))));
}

const isZero = (x: Expression, budget: Budget): boolean => sameValue(x, number(0), budget);

/** A constant that is rational as one fraction. */
function tidied(x: Expression): Expression {
  const rational = rationalOf(x);
  if (!rational) return x;
  const [over, under] = [rational.over, rational.under].map((part): Expression => ({
    kind: "number",
    value: Number(part),
    text: String(part),
  })) as [Expression, Expression];
  return divide(over, under);
}

/** Whether a relation holds where its variable has a value; null where a side is not real there. */
export function holdsAt(relation: Relation, name: string, value: Expression, budget: Budget): boolean | null {
  const difference = substitute(subtract(relation.left, relation.right), name, value);
  const [re, im, error] = evaluate(difference, 0, CONSTANTS, budget);
  if (!Number.isFinite(re) || Math.abs(im) > 16 * error) return null;
  const zero = size([re, im, error]) <= 16 * error || isZero(difference, budget);
  switch (relation.operator) {
    case "=":
      return zero;
    case "!=":
      return !zero;
    case "<":
      return !zero && re < 0;
    case ">":
      return !zero && re > 0;
    case "<=":
      return zero || re < 0;
    case ">=":
      return zero || re > 0;
    default:
      return null;
  }
}
