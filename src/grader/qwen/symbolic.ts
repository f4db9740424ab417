import { Budget, BudgetError } from "../formula/budget.ts";
import { rationalOf } from "../formula/exact.ts";
import { rounded, size, type Complex } from "../formula/complex.ts";
import { evaluate } from "../formula/evaluate.ts";
import { isConstant, negate, subtract, type Expression } from "../formula/expression.ts";

const SAMPLES = 4;
/** Relative difference of two evaluations that are the same formula: rounding, and nothing else. */
const SAME = 1e-8;
/** Of two constants, as the paper's checker compares them. */
const CLOSE = 1e-4;

const STEPS = 20_000;

/** A fraction's value, rounded once: it may lie on the very edge of the tolerance. */
function exactly(x: Expression): Complex | null {
  const rational = isConstant(x) ? rationalOf(x) : null;
  if (!rational) return null;
  const [over, under] = [Number(rational.over), Number(rational.under)];
  return Number.isFinite(over) && Number.isFinite(under) ? rounded(over / under) : null;
}

function compare(a: Expression, b: Expression, tolerance: number, samples: number): boolean {
  const budget = new Budget(STEPS);
  let seen = 0;
  for (let sample = 0; sample < samples; sample++) {
    const x = exactly(a) ?? evaluate(a, sample, {}, budget);
    const y = exactly(b) ?? evaluate(b, sample, {}, budget);
    if (![x[0], x[1], y[0], y[1]].every(Number.isFinite)) continue;
    if (Math.hypot(x[0] - y[0], x[1] - y[1]) > tolerance * Math.max(size(x), size(y), 1e-300)) {
      // Both zero but for the rounding of what cancelled.
      if (Math.max(size(x), size(y)) > 1e-12) return false;
    }
    seen++;
  }
  return seen > 0;
}

/** Whether two formulas agree at random values of their symbols; constants also within 1e-4. False where that takes too long. */
export function sameValue(a: Expression, b: Expression): boolean {
  try {
    if (isConstant(a) && isConstant(b)) return compare(a, b, CLOSE, 1);
    return compare(a, b, SAME, SAMPLES);
  } catch (error) {
    if (error instanceof BudgetError || error instanceof RangeError) return false;
    throw error;
  }
}

/** Whether two constants are infinite, or too large for a float, with one sign. */
export function bothInfinite(a: Expression, b: Expression): boolean {
  if (!isConstant(a) || !isConstant(b)) return false;
  try {
    const [x, y] = [a, b].map((constant) => evaluate(constant, 0, {}, new Budget(STEPS))) as [Complex, Complex];
    return Math.abs(x[0]) === Infinity && x[0] === y[0] && x[1] === 0 && y[1] === 0;
  } catch (error) {
    if (error instanceof BudgetError) return false;
    throw error;
  }
}

/** Whether two relations say the same of the difference of their sides, whatever its sign: the paper's checker asks no more. */
export function sameDifference(a: Expression, b: Expression): boolean {
  if (a.kind !== "relation" || b.kind !== "relation") return false;
  const [x, y] = [subtract(a.left, a.right), subtract(b.left, b.right)];
  if (sameValue(x, y) || sameValue(negate(x), y)) return true;
  const same = (c: Expression, d: Expression) => sameValue(c, d) || bothInfinite(c, d);
  return a.operator === b.operator && same(a.left, b.left) && same(a.right, b.right);
}
