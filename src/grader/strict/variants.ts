import { call, negate, number, type Expression } from "../formula/expression.ts";

/** Signs of both kinds that stand for themselves, each taken both ways. */
const MOST_SIGNS = 4;

function some(x: Expression, holds: (part: Expression) => boolean): boolean {
  if (holds(x)) return true;
  switch (x.kind) {
    case "add":
    case "multiply":
      return x.terms.some((term) => some(term, holds));
    case "power":
      return some(x.base, holds) || some(x.exponent, holds);
    case "relation":
      return some(x.left, holds) || some(x.right, holds);
    case "call":
      return x.args.some((arg) => some(arg, holds));
    default:
      return false;
  }
}

/** The expression with each part, inner ones first, as `change` has it. */
function mapped(x: Expression, change: (part: Expression) => Expression): Expression {
  const inside = (part: Expression) => mapped(part, change);
  switch (x.kind) {
    case "add":
    case "multiply":
      return change({ ...x, terms: x.terms.map(inside) });
    case "power":
      return change({ ...x, base: inside(x.base), exponent: inside(x.exponent) });
    case "relation":
      return change({ ...x, left: inside(x.left), right: inside(x.right) });
    case "call":
      return change({ ...x, args: x.args.map(inside) });
    default:
      return change(x);
  }
}

const isSign = (x: Expression): x is Expression & { kind: "call" } =>
  x.kind === "call" && (x.name === "pm" || x.name === "mp") && x.args.length === 1;

export const hasPlusMinus = (x: Expression): boolean => some(x, isSign);

/** An answer with both signs as the list of what it stands for: signs beside a \mp go together, others each for itself. */
export function plusMinus(x: Expression): Expression {
  if (x.kind === "call" && ["list", "or", "and", "set"].includes(x.name))
    return { ...x, args: x.args.flatMap((part) => (hasPlusMinus(part) ? variants(part) : [part])) };
  return hasPlusMinus(x) ? call("list", ...variants(x)) : x;
}

function variants(x: Expression): Expression[] {
  const linked = some(x, (part) => isSign(part) && part.name === "mp");
  let count = 0;
  some(x, (part) => {
    if (isSign(part)) count++;
    return false;
  });
  const choices = linked ? 1 : Math.min(count, MOST_SIGNS);
  return Array.from({ length: 2 ** choices }, (_, choice) => {
    let sign = 0;
    return mapped(x, (part) => {
      if (!isSign(part)) return part;
      const minus = ((choice >> (linked ? 0 : sign++)) & 1) === 1;
      return minus !== (part.name === "mp") ? negate(part.args[0]!) : part.args[0]!;
    });
  });
}

/** Both answers with what a logarithm without a base may be: the natural one, or that to base ten. */
export function logarithms(a: Expression, b: Expression): readonly (readonly [Expression, Expression])[] {
  const bare = (x: Expression) => x.kind === "call" && x.name === "log" && x.args.length === 1;
  if (!some(a, bare) && !some(b, bare)) return [[a, b]];
  const as = (make: (x: Expression) => Expression) =>
    [a, b].map((x) => mapped(x, (part) => (bare(part) && part.kind === "call" ? make(part.args[0]!) : part))) as [
      Expression,
      Expression,
    ];
  return [as((x) => call("ln", x)), as((x) => call("log", x, number(10)))];
}
