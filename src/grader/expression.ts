/** What a formula means: numbers, symbols, and what is done to them. Relations and functions without a rule stay opaque. */
export type Expression =
  | { kind: "number"; value: number }
  | { kind: "symbol"; name: string }
  | { kind: "add" | "multiply"; terms: readonly Expression[] }
  | { kind: "power"; base: Expression; exponent: Expression }
  | { kind: "call"; name: string; args: readonly Expression[] }
  | { kind: "relation"; operator: string; left: Expression; right: Expression };

export const number = (value: number): Expression => ({ kind: "number", value });
export const symbol = (name: string): Expression => ({ kind: "symbol", name });
export const add = (...terms: Expression[]): Expression => ({ kind: "add", terms });
export const multiply = (...terms: Expression[]): Expression => ({ kind: "multiply", terms });
export const power = (base: Expression, exponent: Expression): Expression => ({ kind: "power", base, exponent });
export const call = (name: string, ...args: Expression[]): Expression => ({ kind: "call", name, args });
export const negate = (x: Expression): Expression => multiply(number(-1), x);
export const divide = (a: Expression, b: Expression): Expression => multiply(a, power(b, number(-1)));
export const subtract = (a: Expression, b: Expression): Expression => add(a, negate(b));

/** Whether no symbol is in it. */
export function isConstant(x: Expression): boolean {
  switch (x.kind) {
    case "number":
      return true;
    case "symbol":
      return false;
    case "add":
    case "multiply":
      return x.terms.every(isConstant);
    case "power":
      return isConstant(x.base) && isConstant(x.exponent);
    case "call":
      return x.args.every(isConstant);
    case "relation":
      return isConstant(x.left) && isConstant(x.right);
  }
}
