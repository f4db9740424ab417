import { Budget, BudgetError } from "../formula/budget.ts";
import { evaluate } from "../formula/evaluate.ts";
import { isConstant, symbol, type Expression } from "../formula/expression.ts";

const TRUTH = { true: symbol("\\true"), false: symbol("\\false") };

export const isTruth = (x: Expression): boolean => x.kind === "symbol" && (x.name === "\\true" || x.name === "\\false");

const STEPS = 10_000;

/**
 * A relation as sympy settles it when it reads it: one of two numbers is true or false, and a relation set equal to anything
 * but a symbol is false. Others stay.
 */
export function settled(x: Expression): Expression {
  if (x.kind !== "relation") return x;
  const left = settled(x.left);
  if (left.kind === "relation" || isTruth(left)) return x.right.kind === "symbol" ? { ...x, left } : TRUTH.false;
  if (!isConstant(left) || !isConstant(x.right)) return x;
  const holds = holdsFor(x.operator, left, x.right);
  return holds === null ? x : holds ? TRUTH.true : TRUTH.false;
}

function holdsFor(operator: string, left: Expression, right: Expression): boolean | null {
  try {
    const budget = new Budget(STEPS);
    const [[a, c], [b, d]] = [evaluate(left, 0, {}, budget), evaluate(right, 0, {}, budget)];
    if (![a, b, c, d].every(Number.isFinite)) return null;
    const equal = Math.hypot(a - b, c - d) <= 1e-12 * Math.max(Math.hypot(a, c), Math.hypot(b, d));
    if (operator === "=" || operator === "!=") return equal === (operator === "=");
    if (c !== 0 || d !== 0) return null;
    if (operator === "<=" || operator === ">=") return equal || (operator === "<=" ? a < b : a > b);
    return !equal && (operator === "<" ? a < b : a > b);
  } catch (error) {
    if (error instanceof BudgetError) return null;
    throw error;
  }
}
