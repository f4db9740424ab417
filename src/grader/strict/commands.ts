import {
  add,
  call,
  divide,
  multiply,
  negate,
  number,
  power,
  substitute,
  symbol,
  symbolsOf,
  type Expression,
} from "../formula/expression.ts";
import { isMatrix, rowsOf } from "./matrices.ts";
import type { FormulaReader } from "./formula-reader.ts";
import { ReadError } from "./tokens.ts";

const FUNCTIONS = new Set("sin cos tan csc sec cot arcsin arccos arctan sinh cosh tanh exp".split(" "));
const INVERTIBLE = new Set(["sin", "cos", "tan"]);
/** Signs over a name, which make it another. */
const ACCENTS = new Set("\\vec \\hat \\tilde \\bar \\overrightarrow \\dot \\ddot".split(" "));
const ENVIRONMENTS = new Set([
  "cases",
  "matrix",
  "pmatrix",
  "bmatrix",
  "Bmatrix",
  "smallmatrix",
  "array",
  "vmatrix",
  "Vmatrix",
]);
/** Largest matrix whose determinant is written out. */
const LARGEST_DETERMINANT = 5;
/** Names that are symbols of their own; any other command is none. */
const SYMBOLS = new Set(
  (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega " +
    "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega infty emptyset ldots ell hbar partial"
  )
    .split(" ")
    .map((name) => `\\${name}`),
);

/** What a command, read already, and its arguments mean. */
export function readCommand(reader: FormulaReader, name: string): Expression {
  const word = name.slice(1);
  if (FUNCTIONS.has(word)) return applied(reader, word, (x) => call(word, x));
  switch (name) {
    case "\\frac": {
      const over = reader.digit() ?? reader.argument();
      return divide(over, reader.digit() ?? reader.argument());
    }
    case "\\binom":
      return call("binomial", reader.digit() ?? reader.argument(), reader.digit() ?? reader.argument());
    case "\\sqrt":
      return root(reader);
    case "\\ln":
      return applied(reader, "ln", (x) => call("ln", x));
    case "\\log": {
      const base = reader.take("_") ? reader.script() : null;
      return applied(reader, "log", (x) => (base ? call("log", x, base) : call("log", x)));
    }
    case "\\abs":
      return call("abs", reader.functionArgument());
    case "\\det": {
      const matrix = reader.functionArgument();
      if (!isMatrix(matrix)) throw new ReadError("no determinant of it");
      return determinant(rowsOf(matrix));
    }
    case "\\cis":
      return applied(reader, "cis", (x) => call("exp", multiply(symbol("i"), x)));
    case "\\lfloor":
      return between(reader, "floor", "\\rfloor");
    case "\\lceil":
      return between(reader, "ceil", "\\rceil");
    case "\\overline":
      return call("conjugate", reader.argument());
    case "\\mathbb":
      return symbol(`\\${setName(reader)}`);
    case "\\sum":
    case "\\prod":
      return series(reader, name === "\\sum" ? "sum" : "product");
    case "\\int":
      return integral(reader);
    case "\\begin":
      return environment(reader);
    case "\\{":
      throw new ReadError("unexpected brace");
  }
  if (ACCENTS.has(name)) return call(word, reader.argument());
  if (SYMBOLS.has(name)) return reader.name(name);
  throw new ReadError(`${name} is no formula's`);
}

const setName = (reader: FormulaReader): string => {
  const braced = reader.take("{");
  const { text } = reader.next();
  if (braced) reader.expect("}");
  return text;
};

function root(reader: FormulaReader): Expression {
  let index: Expression = number(2);
  if (reader.take("[")) {
    index = reader.nested(() => reader.sum());
    reader.expect("]");
  }
  const radicand = reader.peek() === "(" ? reader.script() : reader.argument();
  return index.kind === "number" && index.value === 2 ? call("sqrt", radicand) : call("root", radicand, index);
}

/** A function with its power before the argument: \sin^2 x, \sin^{-1} x. */
function applied(reader: FormulaReader, name: string, apply: (x: Expression) => Expression): Expression {
  const exponent = reader.take("^") ? reader.script() : null;
  const argument = reader.functionArgument();
  const inverse =
    exponent?.kind === "multiply" && exponent.terms.every((t) => t.kind === "number" && Math.abs(t.value) === 1);
  if (inverse && INVERTIBLE.has(name)) return call(`arc${name}`, argument);
  return exponent ? power(apply(argument), exponent) : apply(argument);
}

function between(reader: FormulaReader, name: string, close: string): Expression {
  const inner = reader.nested(() => reader.sum());
  reader.expect(close);
  return call(name, inner);
}

/** \sum_{k=1}^n and its like; without both bounds it is none. */
function series(reader: FormulaReader, name: string): Expression {
  reader.expect("_");
  reader.expect("{");
  const index = reader.name(reader.next().text);
  reader.expect("=");
  const from = reader.nested(() => reader.sum());
  reader.expect("}");
  reader.expect("^");
  const to = reader.script();
  const term = reader.nested(() => reader.product());
  const [bound, renamed] = renamedIn(term, index);
  return call(name, bound, from, to, renamed);
}

/** \int_a^b f dx, and without bounds, which stays opaque. */
function integral(reader: FormulaReader): Expression {
  const bounds: { _?: Expression; "^"?: Expression } = {};
  for (let mark = reader.peek(); (mark === "_" || mark === "^") && !bounds[mark]; mark = reader.peek()) {
    reader.next();
    bounds[mark] = reader.digit() ?? reader.argument();
  }
  const integrand = reader.integrand();
  reader.expect("d");
  const variable = reader.name(reader.next().text);
  if (!bounds._ || !bounds["^"]) return call("integral", integrand, variable);
  const [bound, renamed] = renamedIn(integrand, variable);
  return call("integral", renamed, bound, bounds._, bounds["^"]);
}

/** A symbol that only runs over values by a name that depends on what runs within it, so that its own does not count. */
function renamedIn(term: Expression, index: Expression): [bound: Expression, renamed: Expression] {
  if (index.kind !== "symbol") return [index, term];
  const inner = new Set(symbolsOf(term).filter((name) => name.startsWith("\\bound"))).size;
  const bound = symbol(`\\bound ${inner}`);
  return [bound, substitute(term, index.name, bound)];
}

function environment(reader: FormulaReader): Expression {
  reader.expect("{");
  const name = reader.next().text;
  reader.expect("}");
  if (!ENVIRONMENTS.has(name)) throw new ReadError(`${name} is no formula's`);
  if (name === "array" && reader.take("{")) while (!reader.take("}")) reader.next();
  const rows = reader.rows(name);
  if (name === "cases") return call("and", ...rows.flat());
  const width = rows[0]?.length ?? 0;
  if (width === 0 || rows.some((row) => row.length !== width)) throw new ReadError("uneven rows");
  if (name === "vmatrix") return determinant(rows);
  return call("matrix", ...rows.map((row) => call("row", ...row)));
}

/** By the first row. */
function determinant(rows: readonly (readonly Expression[])[]): Expression {
  if (rows.length > LARGEST_DETERMINANT || rows.some((row) => row.length !== rows.length))
    throw new ReadError("no determinant of it");
  if (rows.length === 1) return rows[0]![0]!;
  return add(
    ...rows[0]!.map((entry, column) => {
      const rest = rows.slice(1).map((row) => row.filter((_, i) => i !== column));
      const term = multiply(entry, determinant(rest));
      return column % 2 === 0 ? term : negate(term);
    }),
  );
}
