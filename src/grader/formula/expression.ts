/** What a formula means: numbers, symbols, and what is done to them. Relations and functions without a rule stay opaque. */
export type Expression =
  /** `text` is a decimal's own, of which `value` may have lost digits. */
  | { kind: "number"; value: number; text?: string }
  | { kind: "symbol"; name: string }
  | { kind: "add" | "multiply"; terms: readonly Expression[] }
  | { kind: "power"; base: Expression; exponent: Expression }
  | { kind: "call"; name: string; args: readonly Expression[] }
  | { kind: "relation"; operator: string; left: Expression; right: Expression };

export const number = (value: number): Expression => ({ kind: "number", value });
export const numeral = (text: string): Expression => ({ kind: "number", value: Number(text), text });
export const symbol = (name: string): Expression => ({ kind: "symbol", name });
export const add = (...terms: Expression[]): Expression => ({ kind: "add", terms });
export const multiply = (...terms: Expression[]): Expression => ({ kind: "multiply", terms });
export const power = (base: Expression, exponent: Expression): Expression => ({ kind: "power", base, exponent });
export const call = (name: string, ...args: Expression[]): Expression => ({ kind: "call", name, args });
export const negate = (x: Expression): Expression => multiply(number(-1), x);
export const divide = (a: Expression, b: Expression): Expression => multiply(a, power(b, number(-1)));
export const subtract = (a: Expression, b: Expression): Expression => add(a, negate(b));

/** The parts that an expression is made of. */
export const partsOf = (x: Expression): readonly Expression[] => {
  switch (x.kind) {
    case "number":
    case "symbol":
      return [];
    case "add":
    case "multiply":
      return x.terms;
    case "power":
      return [x.base, x.exponent];
    case "call":
      return x.args;
    case "relation":
      return [x.left, x.right];
  }
};

/** Names of the symbols in it, in reading order. */
export const symbolsOf = (x: Expression): string[] => (x.kind === "symbol" ? [x.name] : partsOf(x).flatMap(symbolsOf));

/** The same with another expression for a symbol. */
export function substitute(x: Expression, name: string, by: Expression): Expression {
  const inside = (part: Expression) => substitute(part, name, by);
  switch (x.kind) {
    case "number":
      return x;
    case "symbol":
      return x.name === name ? by : x;
    case "add":
    case "multiply":
      return { ...x, terms: x.terms.map(inside) };
    case "power":
      return power(inside(x.base), inside(x.exponent));
    case "call":
      return { ...x, args: x.args.map(inside) };
    case "relation":
      return { ...x, left: inside(x.left), right: inside(x.right) };
  }
}

/** Whether no symbol is in it but those of `known` values, and those that a sum or an integral runs over. */
export function isConstant(x: Expression, known: Readonly<Record<string, unknown>> = {}): boolean {
  if (x.kind === "symbol") return Object.hasOwn(known, x.name);
  if (x.kind !== "call" || !["sum", "product", "integral"].includes(x.name))
    return partsOf(x).every((part) => isConstant(part, known));
  const bound = x.name === "integral" ? x.args[1]! : x.args[0]!;
  const inside = bound.kind === "symbol" ? { ...known, [bound.name]: true } : known;
  return x.args.length === 4 && x.args.every((part) => isConstant(part, inside));
}
