import { add, call, multiply, type Expression } from "../formula/expression.ts";

export type Matrix = readonly (readonly Expression[])[];

/** Entries of the largest product that is written out. */
const MOST_ENTRIES = 100;

export const isMatrix = (x: Expression): x is Expression & { kind: "call" } => x.kind === "call" && x.name === "matrix";

export const rowsOf = (x: Expression & { kind: "call" }): Matrix =>
  x.args.map((row) => (row.kind === "call" ? row.args : []));

/** Rows in square brackets within square brackets as the matrix that they are; anything else as it is. */
export function matrixOf(x: Expression): Expression {
  const isRow = (part: Expression) => part.kind === "call" && part.name === "[]";
  return x.kind === "call" && isRow(x) && x.args.every(isRow) ? fromRows(rowsOf(x)) : x;
}

const fromRows = (rows: Matrix): Expression => call("matrix", ...rows.map((row) => call("row", ...row)));

/** A formula of matrices as one matrix where it is: their sums and products, and products with numbers. */
export function withMatricesJoined(x: Expression): Expression {
  if (x.kind !== "add" && x.kind !== "multiply") return x;
  const terms = x.terms.map(withMatricesJoined);
  if (!terms.some(isMatrix)) return x;
  return terms.reduce((a, b) => (x.kind === "add" ? sum(a, b) : product(a, b)));
}

function sum(a: Expression, b: Expression): Expression {
  if (!isMatrix(a) || !isMatrix(b)) return add(a, b);
  const [m, n] = [rowsOf(a), rowsOf(b)];
  if (m.length !== n.length || m[0]!.length !== n[0]!.length) return add(a, b);
  return fromRows(m.map((row, i) => row.map((entry, j) => add(entry, n[i]![j]!))));
}

function product(a: Expression, b: Expression): Expression {
  if (!isMatrix(a) && !isMatrix(b)) return multiply(a, b);
  if (!isMatrix(a)) return product(b, a);
  const m = rowsOf(a);
  if (!isMatrix(b)) return fromRows(m.map((row) => row.map((entry) => multiply(b, entry))));
  const n = rowsOf(b);
  if (m[0]!.length !== n.length || m.length * n[0]!.length > MOST_ENTRIES) return multiply(a, b);
  return fromRows(m.map((row) => n[0]!.map((_, j) => add(...row.map((entry, k) => multiply(entry, n[k]![j]!))))));
}
