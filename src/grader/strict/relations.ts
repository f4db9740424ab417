import type { Budget } from "../formula/budget.ts";
import { call, isConstant, negate, subtract, symbol, type Expression } from "../formula/expression.ts";
import { CONSTANTS, proportion } from "./same-value.ts";

type Relation = Expression & { kind: "relation" };

/** Whether one side of an equation only names what the other one is: x, f(x), (x, y), AB, "area". */
export function isName(x: Expression): boolean {
  switch (x.kind) {
    case "symbol":
      return !Object.hasOwn(CONSTANTS, x.name) && x.name !== "\\infty";
    case "multiply":
      return x.terms.length <= 4 && x.terms.every(isName);
    case "power":
      return isName(x.base) && x.exponent.kind === "number" && x.exponent.value === -1;
    case "call":
      if (x.name === "abs" && isVariable(x.args[0]!)) return false;
      return (
        /^(?:\(\)|ratio|abs|conjugate|vec|hat|overrightarrow|measured|[a-zA-Z]'*)$/.test(x.name) &&
        x.args.every((arg) => isName(arg) || isConstant(arg))
      );
    default:
      return false;
  }
}

/** An equation of numbers, as it ends a calculation. */
export const hasNumbersAlone = ({ left, right }: Relation): boolean =>
  isConstant(left, CONSTANTS) && isConstant(right, CONSTANTS);

const REVERSED: Readonly<Record<string, string>> = { ">": "<", ">=": "<=" };

/**
 * Equations whose differences of sides agree up to a factor, inequalities up to one that is positive; of what has no difference,
 * sides that are equal.
 */
export function sameRelation(
  a: Relation,
  b: Relation,
  same: (x: Expression, y: Expression) => boolean,
  budget: Budget,
): string | null {
  const [x, y] = [upwards(a), upwards(b)];
  if (x.operator !== y.operator) return null;
  const reason = x.operator === "=" || x.operator === "!=" ? "equal equations" : "the same inequality";
  if (same(x.left, y.left) && same(x.right, y.right)) return reason;
  if (x.operator === "=" && same(x.left, y.right) && same(x.right, y.left)) return reason;
  if (!["=", "!=", "<", "<="].includes(x.operator) || hasNumbersAlone(x) || hasNumbersAlone(y)) return null;
  const factor = proportion(subtract(x.left, x.right), subtract(y.left, y.right), budget);
  return factor !== null && (x.operator === "=" || x.operator === "!=" || factor === 1) ? reason : null;
}

/** With the smaller side first. */
const upwards = (x: Relation): Relation => {
  const operator = REVERSED[x.operator];
  return operator === undefined ? x : { ...x, operator, left: x.right, right: x.left };
};

const isVariable = (x: Expression): boolean => x.kind === "symbol" && /^[t-z](?:_.*)?$/.test(x.name);

/** An inequality or a chain of two whose bounds are formulas as the interval that it is; anything else as it is. */
export function asInterval(x: Expression): Expression {
  const bracket = (operator: string, round: string, square: string) => (operator.endsWith("=") ? square : round);
  if (x.kind === "call" && x.name === "chain" && x.args.length === 2) {
    const [low, high] = x.args.map((part) => (part.kind === "relation" ? part : null));
    if (!low || !high || !low.operator.startsWith("<") || !high.operator.startsWith("<")) {
      const [first, second] = x.args;
      const falls = [first, second].every((part) => part?.kind === "relation" && part.operator.startsWith(">"));
      return falls ? asInterval(call("chain", upwards(second as Relation), upwards(first as Relation))) : x;
    }
    return call(`${bracket(low.operator, "(", "[")}${bracket(high.operator, ")", "]")}`, low.left, high.right);
  }
  if (x.kind !== "relation" || !/^[<>]/.test(x.operator)) return x;
  const { operator, left, right } = upwards(x);
  const infinite = symbol("\\infty");
  if (isName(left) && !(isVariable(right) && !isVariable(left)))
    return call(`(${bracket(operator, ")", "]")}`, negate(infinite), right);
  return isName(right) ? call(`${bracket(operator, "(", "[")})`, left, infinite) : x;
}
