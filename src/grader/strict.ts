import { boxedAnswer } from "./extract.ts";
import type { Constants } from "./evaluate.ts";
import { divide, negate, number, subtract, type Expression } from "./expression.ts";
import { LatexError, parseLatex, type LatexStyle } from "./latex.ts";
import { wordsToNumber } from "./number-words.ts";
import { sameValue } from "./symbolic.ts";

/** Formulas as mathematics means them. */
const STYLE: LatexStyle = { sympy: false, applyLetters: false, mixedNumbers: true, words: true };
const CONSTANTS: Constants = { "\\pi": [Math.PI, 0], π: [Math.PI, 0], e: [Math.E, 0], i: [0, 1] };

/** Two exact numbers must agree to rounding; where one is a decimal it may have been rounded itself. */
const EXACT = 1e-9;
const ROUNDED = 1e-4;

const LONGEST = 2000;
const DEEPEST = 12;

/** Stands for the line break between a matrix's rows, whose backslashes mean nothing else. */
const ROW = "\u0001";

/** The answer itself: without dollar signs, boxes, sizes, fonts, money, units and a last full stop. */
function clean(text: string): string {
  let s = text
    .slice(0, LONGEST)
    .trim()
    .replace(/^\$+|\$+$/g, "")
    .trim();
  const box = s.lastIndexOf("\\boxed");
  if (box >= 0) s = boxedAnswer(s.slice(box + "\\boxed".length));
  // Commands whose backslash was escaped once more on the way here.
  s = s.replaceAll(/\\\\(?=(?:left|right|[dt]?frac|sqrt|pi|text|infty)(?![a-zA-Z]))/g, "\\");
  s = s
    .replaceAll("\\\\", ROW)
    .replaceAll(/,\\!\s*(?=\d{3}(?!\d))/g, "")
    .replaceAll("!=", "\\neq ")
    .replace(/(=[^=]*)(?:\\approx|≈)[^=]*$/, "$1")
    .replaceAll(/\\approx|≈/g, "=")
    .replaceAll("\\textnormal", "\\text")
    .replaceAll("\\mathrm{e}", "e");
  s = s.replaceAll(/\\[()[\]]|\\(?:left|right|displaystyle|bigl?|bigr?|Bigl?|Bigr?)(?![a-zA-Z])/g, "");
  s = s
    .replaceAll(/\\\$|\$|€|£|USD|\\;|\\quad|\\:|~/g, " ")
    .replaceAll("\\!", "")
    .replaceAll("\\%", "%")
    .replaceAll(/\\?[°]|\^\s*\{?\s*\\circ\s*\}?|\\degree/g, "");
  s = s
    .replaceAll("\\ ", " ")
    .replaceAll(/\\[dt]frac/g, "\\frac")
    .replaceAll(/\\begin\{array\}\{[^{}]*\}/g, "\\begin{pmatrix}")
    .replaceAll("\\end{array}", "\\end{pmatrix}")
    .replaceAll("bmatrix", "pmatrix");
  s = s.replaceAll(/\\frac\s*(\d)(?=\s*[\d{])/g, "\\frac{$1}").replaceAll(/(\\frac\{\d\})\s*(\d)/g, "$1{$2}");
  // 33\,840 and 7{,}000: digits in groups.
  s = s.replaceAll(/(\d)(?:\{,\}|\\,|\s)(?=\d{3}(?!\d))/g, "$1").replaceAll("\\,", " ");
  s = s
    .replaceAll(/\\(?:mathbf|boldsymbol|bf)(?![a-zA-Z])/g, "")
    .replaceAll(/\\(?:mathrm|textbf|textit|mathit|rm|mbox|textrm)(?![a-zA-Z])/g, "\\text");
  return withoutUnits(s.replaceAll(/\s+/g, " ").trim())
    .replace(/[.\s]+$/, "")
    .replace(/^[a-zA-Z]\s*\\in(?![a-zA-Z])\s*/, "");
}

/** \text{...} after a number is a unit and goes; alone it is the answer; between answers it is "and" or "or". */
function withoutUnits(text: string): string {
  let s = text.replaceAll(/\\text\s*\{\s*(?:,\s*)?(?:and|or)\s*\}/g, ", ");
  const inner = /^\\text\s*\{([^{}]*)\}$/.exec(s);
  if (inner) return inner[1]!.trim();
  s = s.replaceAll(/(?<=[\d})])\s*\\text\s*\{([^{}]*)\}(?:\s*\^\s*\{?\d\}?)?/g, (whole, unit: string) =>
    /^\s*(percent|pct)/i.test(unit) ? "%" : /[=<>]/.test(unit) ? whole : "",
  );
  s = s.replaceAll(/\\text\s*\{([^{}]*)\}|\\text\s+/g, " $1 ");
  s = s.replace(/(\d)\s*(?:percent|pct)$/i, "$1%");
  // Words of two letters and more behind a plain number.
  return s.replace(/^([-+]?[\d.,]+)\s+[a-zA-Z]{2,}(?:\s+[a-zA-Z]{2,})*(?:\s*\^\s*\{?\d\}?)?\.?$/, "$1").trim();
}

const OPEN = "([{";
const CLOSE = ")]}";

/** Splits where `separators` stand outside all brackets. */
function splitTop(text: string, separator: RegExp): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (OPEN.includes(c)) depth++;
    else if (CLOSE.includes(c)) depth = Math.max(0, depth - 1);
    else if (depth === 0) {
      separator.lastIndex = i;
      const match = separator.exec(text);
      if (match) {
        parts.push(text.slice(start, i));
        i += match[0].length - 1;
        start = i + 1;
      }
    }
  }
  parts.push(text.slice(start));
  return parts.map((part) => part.trim());
}

const COMMA = /[,;]|(?<![a-zA-Z])(?:and|or)(?![a-zA-Z])/y;
const CUP = /\\cup|∪/y;
const EQUALS = /(?<![<>!])=/y;

interface Bracketed {
  open: string;
  close: string;
  parts: string[];
}

/** A text that one pair of brackets holds whole, split at its commas. */
function bracketed(text: string): Bracketed | null {
  const s = text.replaceAll("\\{", "{").replaceAll("\\}", "}");
  const open = s[0] ?? "";
  const close = s.at(-1) ?? "";
  if (!OPEN.includes(open) || !CLOSE.includes(close) || s.length < 2) return null;
  let depth = 0;
  for (let i = 0; i < s.length - 1; i++) {
    if (OPEN.includes(s[i]!)) depth++;
    else if (CLOSE.includes(s[i]!)) depth--;
    if (depth === 0) return null;
  }
  return { open, close, parts: splitTop(s.slice(1, -1), COMMA) };
}

/** Whether two lists hold equal things, each used once. */
function sameMembers<T>(a: readonly T[], b: readonly T[], equal: (x: T, y: T) => boolean): boolean {
  if (a.length !== b.length || a.length > 200) return false;
  const left = [...b];
  return a.every((x) => {
    const at = left.findIndex((y) => equal(x, y));
    if (at < 0) return false;
    left.splice(at, 1);
    return true;
  });
}

/**
 * Whether two answers are mathematically the same: tuples and intervals with their brackets and order, sets, lists and unions
 * in any order, matrices, equations up to a factor, formulas with pi, e and i as the numbers they are, mixed numbers, percent.
 * Texts are equal letter for letter, case aside. An empty answer equals nothing.
 *
 * @returns what made them equal, or null
 */
export function strictEqual(pred: string, ref: string): string | null {
  if (pred.length > LONGEST || ref.length > LONGEST) return null;
  const [p, r] = [clean(pred), clean(ref)];
  if (p === "" || r === "") return null;
  return equal(p, r, 0);
}

/** 1,22 beside 1.22 has a decimal comma. */
function decimalCommas(p: string, r: string): [string, string] {
  const comma = /^[-+]?\d+,\d+$/;
  const point = /^[-+]?\d+\.\d+$/;
  if (comma.test(p) && point.test(r)) return [p.replace(",", "."), r];
  if (comma.test(r) && point.test(p)) return [p, r.replace(",", ".")];
  return [p, r];
}

const squeezed = (text: string): string => text.replaceAll(/[\s{}]|\\(?![a-zA-Z])/g, "").toLowerCase();

function equal(pred: string, ref: string, depth: number): string | null {
  const [p, r] = decimalCommas(...([pred, ref].map((text) => text.replace(/[.\s]+$/, "")) as [string, string]));
  if (depth > DEEPEST || p === "" || r === "") return null;
  if (p === r) return "equal text";
  const again = (x: string, y: string) => equal(x, y, depth + 1) !== null;

  const [ps, rs] = [splitTop(p, CUP), splitTop(r, CUP)];
  if (ps.length > 1 || rs.length > 1) return sameMembers(ps, rs, again) ? "the same union" : null;
  const [pt, rt] = [namedAsTuples(p), namedAsTuples(r)];
  if ((pt === null) !== (rt === null)) return equal(pt ?? p, rt ?? r, depth + 1);
  const [pi, ri] = [chainAsInterval(p), chainAsInterval(r)];
  if ((pi === null) !== (ri === null)) return equal(pi ?? p, ri ?? r, depth + 1);
  const [pm, rm] = [expandPlusMinus(p), expandPlusMinus(r)];
  if (pm || rm) return equal(pm ?? p, rm ?? r, depth + 1);
  const [pl, rl] = [splitList(p), splitList(r)];
  const [pb, rb] = [bracketed(p), bracketed(r)];
  if (pl.length > 1 || rl.length > 1) {
    // A set's braces may be left out of a list, and a list's put around it.
    const [x, y] = [pb?.open === "{" ? pb.parts : pl, rb?.open === "{" ? rb.parts : rl];
    const tuple = pb?.open === "(" && pb.close === ")" ? pb : rb?.open === "(" && rb.close === ")" ? rb : null;
    if (tuple && tuple.parts.length > 1) {
      // A point written without its brackets.
      const [a, b] = [tuple === pb ? pb.parts : x, tuple === rb ? rb.parts : y];
      return a.length === b.length && a.every((part, i) => again(part, b[i]!)) ? "equal parts" : null;
    }
    return sameMembers(distinctTuples(x), distinctTuples(y), again) ? "the same list" : null;
  }
  const [pMatrix, rMatrix] = [matrix(p), matrix(r)];
  if (pMatrix || rMatrix) {
    const same = pMatrix && rMatrix && pMatrix.length === rMatrix.length;
    return same &&
      pMatrix.every(
        (row, i) => row.length === rMatrix[i]!.length && row.every((cell, j) => again(cell, rMatrix[i]![j]!)),
      )
      ? "equal matrices"
      : null;
  }
  if (pb && rb && (pb.parts.length > 1 || rb.parts.length > 1)) {
    if (pb.open !== rb.open || pb.close !== rb.close || pb.parts.length !== rb.parts.length) return null;
    if (pb.open === "{") return sameMembers(pb.parts, rb.parts, again) ? "the same set" : null;
    return pb.parts.every((part, i) => again(part, rb.parts[i]!)) ? "equal parts" : null;
  }
  if (pb?.open === "{" && pb.parts.length === 1 && pb.parts[0] !== "") return equal(pb.parts[0]!, r, depth + 1);
  if (rb?.open === "{" && rb.parts.length === 1 && rb.parts[0] !== "") return equal(p, rb.parts[0]!, depth + 1);
  return (
    equations(p, r, depth) ?? scalars(p, r) ?? (squeezed(p) === squeezed(r) && squeezed(p) !== "" ? "equal text" : null)
  );
}

/** Solutions named twice count once; numbers may repeat. */
const distinctTuples = (members: readonly string[]): readonly string[] =>
  members.every((member) => member.startsWith("("))
    ? [...new Set(members.map((member) => member.replaceAll(" ", "")))]
    : members;

/** p=5,q=2;p=7,q=2 as (5,2), (7,2). */
function namedAsTuples(text: string): string | null {
  const groups = text.split(";").map((group) => splitTop(group, COMMA).map((part) => splitTop(part, EQUALS)));
  const named = groups.every(
    (group) => group.length > 1 && group.every((sides) => sides.length === 2 && /^[a-zA-Z](_\w+)?$/.test(sides[0]!)),
  );
  if (groups.length < 2 || !named) return null;
  return groups.map((group) => `(${group.map(([, value]) => value!).join(", ")})`).join(", ");
}

/** a < x \le b as the interval (a, b]. */
function chainAsInterval(text: string): string | null {
  const less = String.raw`(<|\\lt(?![a-zA-Z])|\\leq?(?![a-zA-Z])|\\leqslant|<=|≤)`;
  const [, low, first, middle, second, high] =
    new RegExp(`^([^<>=]+?)${less}([^<>=]+?)${less}([^<>=]+)$`).exec(text) ?? [];
  if (low === undefined || !/[a-zA-Z]/.test(middle!)) return null;
  const closed = (operator: string) => !["<", "\\lt"].includes(operator);
  return `${closed(first!) ? "[" : "("}${low.trim()}, ${high!.trim()}${closed(second!) ? "]" : ")"}`;
}

/** At commas that separate, not those in 1,234. */
function splitList(text: string): string[] {
  if (/^[-+]?\d{1,3}(,\d{3})+(\.\d+)?%?$/.test(text.trim())) return [text.replaceAll(",", "")];
  return splitTop(text, COMMA).filter((part) => part !== "");
}

/** a \pm b as the list a + b, a - b. */
function expandPlusMinus(text: string): string | null {
  if (!/\\pm|±/.test(text) || /[,;]/.test(text) || (text.match(/\\pm|±/g)?.length ?? 0) > 1) return null;
  return `${text.replace(/\\pm|±/, "+")}, ${text.replace(/\\pm|±/, "-")}`;
}

function matrix(text: string): string[][] | null {
  const body = /^[([]?\s*\\begin\{[pb]?matrix\}(.*)\\end\{[pb]?matrix\}\s*[)\]]?$/s.exec(text)?.[1];
  return body === undefined
    ? null
    : body
        .split(ROW)
        .map((row) => row.trim())
        .filter((row) => row !== "")
        .map((row) => row.split("&").map((cell) => cell.trim()));
}

/** Equations up to a constant factor; a named answer, x = 5, by its right side. */
function equations(p: string, r: string, depth: number): string | null {
  // Of a chain of equalities its ends.
  const ends = (sides: string[]) => (sides.length > 2 ? [sides[0]!, sides.at(-1)!] : sides);
  const [ps, rs] = [p, r].map((text) => ends(splitTop(text, EQUALS))) as [string[], string[]];
  if (ps.length === 1 && rs.length === 1) return null;
  const [pAll, rAll] = [splitTop(p, EQUALS), splitTop(r, EQUALS)];
  if (pAll.length > 2 && rAll.length === 1) return equal(pAll.at(-1)!, r, depth + 1);
  if (rAll.length > 2 && pAll.length === 1) return equal(p, rAll.at(-1)!, depth + 1);
  const named = (sides: string[]) =>
    sides.length === 2 &&
    /^(\\?[a-zA-Z]+(_\{?\w+\}?)?'?|[a-zA-Z]\([a-zA-Z, ]+\)|\([a-zA-Z](,[a-zA-Z])+\)|[A-Z_{}a-z]*:[A-Z]+)?$/.test(
      sides[0]!.replaceAll(" ", ""),
    );
  if (ps.length === 2 && rs.length === 2) {
    if (ps[0] === rs[0]) return equal(ps[1]!, rs[1]!, depth + 1);
    const [a, b] = [ps, rs].map(([left, right]) => difference(left!, right!));
    return a && b && proportional(a, b) ? "equal equations" : null;
  }
  if (named(ps) && rs.length === 1) return equal(ps[1]!, r, depth + 1);
  if (named(rs) && ps.length === 1) return equal(p, rs[1]!, depth + 1);
  return null;
}

function difference(left: string, right: string): Expression | null {
  const [a, b] = [read(left), read(right)];
  return a && b ? subtract(a.expression, b.expression) : null;
}

/** Whether a / b is one constant: it equals its own negative's, and its value where symbols are drawn otherwise. */
function proportional(a: Expression, b: Expression): boolean {
  if (sameValue(a, b, CONSTANTS, EXACT) || sameValue(negate(a), b, CONSTANTS, EXACT)) return true;
  for (const factor of [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 20, 24, 25, 100]) {
    for (const scale of [factor, -factor, 1 / factor, -1 / factor])
      if (sameValue(divide(a, number(scale)), b, CONSTANTS, EXACT)) return true;
  }
  return false;
}

interface Read {
  expression: Expression;
  /** Whether a decimal point is in it: it may have been rounded. */
  rounded: boolean;
  percent: boolean;
}

/** A formula that is the whole text. */
function read(text: string): Read | null {
  const percent = text.endsWith("%");
  let s = percent ? text.slice(0, -1).trim() : text;
  if (/^[-+]?\d{1,3}(,\d{3})+(\.\d+)?$/.test(s)) s = s.replaceAll(",", "");
  const scientific = /^([-+]?[\d.]+)[eE]([-+]?\d{1,3})$/.exec(s);
  if (scientific && Number.isFinite(Number(s))) return { expression: number(Number(s)), rounded: true, percent };
  const words = /^[a-zA-Z -]+$/.test(s) && s.length > 2 ? wordsToNumber(s) : null;
  if (words !== null) return { expression: number(Number(words)), rounded: false, percent };
  if (isText(s)) return null;
  try {
    const { expression, end } = parseLatex(s, STYLE);
    return end >= s.trimEnd().length ? { expression, rounded: /\d\.\d|\.\d/.test(s), percent } : null;
  } catch (error) {
    if (error instanceof LatexError) return null;
    throw error;
  }
}

/** Words, not products of letters: three letters in a row and more that name no function. */
const isText = (text: string): boolean =>
  /[a-zA-Z]{3,}/.test(text.replaceAll(/\\[a-zA-Z]+|(?<![a-zA-Z])(?:sqrt|sin|cos|tan|log|exp)(?![a-zA-Z])/g, " ")) ||
  /^[a-zA-Z]{2}$/.test(text);

/** Inequalities whose differences of sides agree up to a positive factor, up to any for "not equal". */
function sameInequality(a: Expression, b: Expression): boolean {
  if (a.kind !== "relation" || b.kind !== "relation") return false;
  const below = ({ operator, left, right }: typeof a) =>
    operator.startsWith(">")
      ? { operator: operator.replace(">", "<"), difference: subtract(right, left) }
      : { operator, difference: subtract(left, right) };
  const [x, y] = [below(a), below(b)];
  if (x.operator !== y.operator) return false;
  const factors = [1, 2, 3, 4, 5, 6, 10].flatMap((factor) => [factor, 1 / factor]);
  const signs = x.operator === "!=" ? [1, -1] : [1];
  return factors.some((factor) =>
    signs.some((sign) => sameValue(divide(x.difference, number(sign * factor)), y.difference, CONSTANTS, EXACT)),
  );
}

function scalars(p: string, r: string): string | null {
  const [pBase, rBase] = [p, r].map((text) => /^(\d+)_\{?(\d+)\}?$/.exec(text.replaceAll(" ", "")));
  if (pBase && rBase) return Number(pBase[1]) === Number(rBase[1]) && pBase[2] === rBase[2] ? "equal numbers" : null;
  const [a, b] = [read(p), read(r)];
  if (!a || !b) return null;
  if (a.expression.kind === "relation" || b.expression.kind === "relation")
    return sameInequality(a.expression, b.expression) ? "the same inequality" : null;
  const close = a.rounded || b.rounded ? ROUNDED : EXACT;
  const same = (x: Expression, y: Expression) => sameValue(x, y, CONSTANTS, close);
  if (same(a.expression, b.expression)) return "equal values";
  // A percentage may be stated as its share, on either side.
  if (a.percent !== b.percent) {
    const [share, whole] = a.percent
      ? [divide(a.expression, number(100)), b.expression]
      : [divide(b.expression, number(100)), a.expression];
    if (same(share, whole)) return "equal shares";
  }
  return null;
}
