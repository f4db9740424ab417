import { choiceOf } from "./choice.ts";
import { number, type Expression } from "../formula/expression.ts";
import { LatexError, type Style } from "./latex-tokens.ts";
import { parseLatex } from "./latex.ts";
import { LONGEST_ANSWER } from "./normalise.ts";
import { asciiDigits } from "../unicode.ts";
import { isTruth, settled } from "./relation.ts";
import { bothInfinite, sameDifference, sameValue } from "./symbolic.ts";

const NUMERIC_TOLERANCE = 1e-4;
/** Comparisons within comparisons: parts of tuples of tuples. */
const DEEPEST = 20;
const MOST_PARTS = 500;

/** Python's math.isclose with a relative tolerance alone. */
const isClose = (a: number, b: number): boolean =>
  a === b ||
  (Number.isFinite(a) &&
    Number.isFinite(b) &&
    Math.abs(a - b) <= NUMERIC_TOLERANCE * Math.max(Math.abs(a), Math.abs(b)));

/** What Python's float() takes once commas are deleted, or a percentage; null for anything else. */
function pythonNumber(text: string): number | null {
  const plain = asciiDigits(text.replaceAll(",", ""));
  const value = pythonFloat(plain);
  if (value !== null) return value;
  if (!plain.endsWith("%")) return null;
  const share = pythonFloat(plain.slice(0, -1).replace(/\\$/, ""));
  return share === null ? null : share / 100;
}

function pythonFloat(text: string): number | null {
  const trimmed = text.trim();
  if (/^[+-]?(nan)$/i.test(trimmed)) return NaN;
  const infinite = /^([+-]?)inf(inity)?$/i.exec(trimmed);
  if (infinite) return infinite[1] === "-" ? -Infinity : Infinity;
  if (!/^[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/i.test(trimmed)) return null;
  return Number(trimmed.replaceAll("_", ""));
}

/**
 * Whether the paper's checker (Qwen2.5-Math, math_equal) takes `pred` for `ref`, both normalised: its steps in its order, each
 * of which can only say yes, but for the numeric one, which is final. Neither symmetric nor transitive.
 *
 * @returns what made them equal, or null
 */
export function qwenEqual(pred: string, ref: string, depth = 0): string | null {
  if (depth > DEEPEST) return null;
  if (pred.trim().toLowerCase() === ref.trim().toLowerCase()) return "equal text";
  if (Math.max(pred.length, ref.length) > LONGEST_ANSWER) return null;
  if (/^[A-E]$/.test(ref) && choiceOf(pred) === ref) return "the same choice";
  const [a, b] = [pythonNumber(pred), pythonNumber(ref)];
  if (a !== null && b !== null)
    return [b / 100, b, b * 100].some((value) => isClose(a, value)) ? "equal numbers" : null;
  if (pred === "") return null;

  const [p, r] = [
    pred.trim(),
    pred.includes("pmatrix") && !ref.includes("pmatrix") ? asMatrices(ref.trim()) : ref.trim(),
  ];
  if (withoutBrackets(p, r)) return "equal but for brackets";
  return (
    partsEqual(p, r, depth) ??
    matricesEqual(p, r, depth) ??
    equationsEqual(p, r, depth) ??
    (symbolicEqual(p, r) ? "equal formulas" : null)
  );
}

/** Every {a,b} of a text as a matrix of one column, the rest dropped. */
function asMatrices(text: string): string {
  return Array.from(
    text.matchAll(/\{.*,.*\}/g),
    ([piece]) => `\\begin{pmatrix}${piece.replace(/^\{+|\}+$/g, "").replaceAll(",", "\\")}\\end{pmatrix}`,
  ).join(", ");
}

function withoutBrackets(pred: string, ref: string): boolean {
  let [p, r] = [pred, ref];
  const square = p.startsWith("[") && p.endsWith("]") && !r.startsWith("(");
  const round = p.startsWith("(") && p.endsWith(")") && !r.startsWith("[");
  if (square || round)
    [p, r] = [p, r].map((text) => text.replace(/^[[\]()]+/, "").replace(/[[\]()]+$/, "")) as [string, string];
  const plain = (text: string) => text.replaceAll(/[{}()]/g, "").toLowerCase();
  return plain(p) === plain(r);
}

const BRACKETED = /^[([].+[)\]]/s;

/** Tuples and intervals, part by part at every comma; the kinds of brackets do not count. */
function partsEqual(pred: string, ref: string, depth: number): string | null {
  if (!BRACKETED.test(pred) || !BRACKETED.test(ref)) return null;
  const [p, r] = [pred, ref].map((text) => text.slice(1, -1).split(",")) as [string[], string[]];
  if (p.length !== r.length || p.length > MOST_PARTS) return null;
  return p.every((part, i) => qwenEqual(part, r[i]!, depth + 1) !== null) ? "equal parts" : null;
}

function matrixRows(text: string): string[][] | null {
  const [, body] = /^\\begin\{[pb]matrix\}(.*)\\end\{[pb]matrix\}$/s.exec(text) ?? [];
  return body === undefined
    ? null
    : body
        .split("\\\\")
        .map((row) => row.trim())
        .filter((row) => row !== "")
        .map((row) => row.split("&"));
}

function matricesEqual(pred: string, ref: string, depth: number): string | null {
  const [p, r] = [matrixRows(pred), matrixRows(ref)];
  if (!p || !r || p.length !== r.length || p.flat().length > MOST_PARTS) return null;
  const equal = p.every(
    (row, i) => row.length === r[i]!.length && row.every((cell, j) => qwenEqual(cell, r[i]![j]!, depth + 1) !== null),
  );
  return equal ? "equal matrices" : null;
}

/** Both equations: the differences of their sides, up to sign. One with a short left side: its right side. */
function equationsEqual(pred: string, ref: string, depth: number): string | null {
  const [p, r] = [pred.split("="), ref.split("=")];
  if (p.length === 2 && r.length === 2) {
    const [x, y] = [p, r].map(([left, right]) => `${left!.trim()} - (${right!.trim()})`) as [string, string];
    return symbolicEqual(x, y) || symbolicEqual(`-(${x})`, y) ? "equal equations" : null;
  }
  const short = ([left]: readonly string[]) => Array.from(left!.trim()).length <= 2;
  if (p.length === 2 && r.length === 1 && short(p)) return qwenEqual(p[1]!, ref, depth + 1);
  if (r.length === 2 && p.length === 1 && short(r)) return qwenEqual(pred, r[1]!, depth + 1);
  return null;
}

/** What sympy's reader of LaTeX makes of a text: a line break within a formula is tried as a single backslash first. */
function readLatex(text: string): Expression | null {
  for (const spelled of new Set([text.replaceAll("\\\\", "\\"), text])) {
    const expression = tryLatex(spelled, "strict");
    if (expression) return settled(expression);
  }
  return null;
}

function tryLatex(text: string, style: Style): Expression | null {
  try {
    return parseLatex(text, style);
  } catch (error) {
    if (error instanceof LatexError) return null;
    throw error;
  }
}

/** Where LaTeX fails: a plain number, or what a lenient reader of LaTeX makes of it, which takes matrices only whole. */
function readOther(text: string): Expression | null {
  const value = pythonNumber(text);
  if (value !== null) return number(value);
  return text.startsWith("\\begin") ? null : tryLatex(text, "lenient");
}

/** Matrices that the step before does not take: in other environments. */
const MATRIX = /^\\begin\{([pb]?matrix)\}(.*)\\end\{\1\}$/s;

/** The members of a Python set: numbers, names and what is calculated from them. Null for anything else. */
function setMembers(text: string): Expression[] | null {
  const parts = /^\{([\w.,+\-*/() ]+)\}$/.exec(text)?.[1]?.split(",");
  if (!parts || parts.length < 2 || parts.length > MOST_PARTS) return null;
  const members = parts.map((part) => (/\d[a-z]|[a-z]{2}|[)\w]\s*\(/i.test(part) ? null : tryLatex(part, "strict")));
  return members.every((member) => member !== null) ? members : null;
}

function symbolicEqual(pred: string, ref: string): boolean {
  const [a, b] = [readLatex(pred), readLatex(ref)];
  if (!a && !b) {
    if (pred === ref) return true;
    const [p, r] = [MATRIX.exec(pred)?.[2], MATRIX.exec(ref)?.[2]];
    if (p !== undefined && r !== undefined) {
      const wrapped = (body: string) => `\\begin{pmatrix}${body}\\end{pmatrix}`;
      return matricesEqual(wrapped(p), wrapped(r), 0) !== null;
    }
    const [x, y] = [setMembers(pred), setMembers(ref)];
    if (x && y)
      return [x, y].every((set) =>
        set.every((member) => (set === x ? y : x).some((other) => sameValue(member, other))),
      );
  }
  const [x, y] = [a ?? readOther(pred), b ?? readOther(ref)];
  return x !== null && y !== null && formulasEqual(x, y);
}

function formulasEqual(a: Expression, b: Expression): boolean {
  if (isTruth(a) || isTruth(b)) return a.kind === "symbol" && b.kind === "symbol" && a.name === b.name;
  return a.kind === "relation" || b.kind === "relation" ? sameDifference(a, b) : sameValue(a, b) || bothInfinite(a, b);
}
