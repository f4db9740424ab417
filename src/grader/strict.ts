import { rationalOf, sameRational } from "./exact.ts";
import type { Constants } from "./evaluate.ts";
import { divide, negate, number, subtract, type Expression } from "./expression.ts";
import { LatexError, parseLatex, type LatexStyle } from "./latex.ts";
import { spokenNumber } from "./number-words.ts";
import { clean, LONGEST } from "./strict-clean.ts";
import {
  bracketed,
  chainAsInterval,
  CUP,
  CUP_ANYWHERE,
  distinctTuples,
  EQUALS,
  expandPlusMinus,
  matrix,
  mergedSets,
  namedAsTuples,
  rayAsInterval,
  sameMembers,
  splitList,
  splitTop,
  type Bracketed,
} from "./strict-structure.ts";
import { sameValue } from "./symbolic.ts";

/** Formulas as mathematics means them. */
const STYLE: LatexStyle = { sympy: false, applyLetters: false, mixedNumbers: true, words: true };
const CONSTANTS: Constants = { "\\pi": [Math.PI, 0], π: [Math.PI, 0], e: [Math.E, 0], i: [0, 1] };

/** Two exact numbers must agree to rounding; where one is a decimal it may have been rounded itself. */
const EXACT = 1e-9;
const ROUNDED = 1e-4;

const DEEPEST = 12;

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

  if (CUP_ANYWHERE.test(p) !== CUP_ANYWHERE.test(r)) {
    const [pu, ru] = [mergedSets(p), mergedSets(r)];
    if (pu || ru) return equal(pu ?? p, ru ?? r, depth + 1);
  }
  const [ps, rs] = [splitTop(p, CUP), splitTop(r, CUP)];
  if (ps.length > 1 || rs.length > 1) return sameMembers(ps, rs, again) ? "the same union" : null;
  const [pt, rt] = [namedAsTuples(p), namedAsTuples(r)];
  if ((pt === null) !== (rt === null)) return equal(pt ?? p, rt ?? r, depth + 1);
  const [pi, ri] = [chainAsInterval(p), chainAsInterval(r)];
  if ((pi === null) !== (ri === null)) return equal(pi ?? p, ri ?? r, depth + 1);
  const [py, ry] = [rayAsInterval(p, r), rayAsInterval(r, p)];
  if (py || ry) return equal(py ?? p, ry ?? r, depth + 1);
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
  const inner = (b: Bracketed | null) =>
    b?.open === "{" && b.parts.length === 1 && b.parts[0] !== "" ? b.parts[0]! : null;
  const [pInner, rInner] = [inner(pb), inner(rb)];
  if (pInner !== null || rInner !== null) return equal(pInner ?? p, rInner ?? r, depth + 1);
  if (pb && rb && (pb.parts.length > 1 || rb.parts.length > 1)) {
    if (pb.open !== rb.open || pb.close !== rb.close || pb.parts.length !== rb.parts.length) return null;
    if (pb.open === "{") return sameMembers(pb.parts, rb.parts, again) ? "the same set" : null;
    return pb.parts.every((part, i) => again(part, rb.parts[i]!)) ? "equal parts" : null;
  }
  return (
    equations(p, r, depth) ?? scalars(p, r) ?? (squeezed(p) === squeezed(r) && squeezed(p) !== "" ? "equal text" : null)
  );
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
  const words = /^[a-zA-Z -]+$/.test(s) && s.length > 2 ? spokenNumber(s) : null;
  if (words !== null) return { expression: number(words), rounded: false, percent };
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
  const rounded = a.rounded || b.rounded;
  const same = (x: Expression, y: Expression) => {
    const [m, n] = rounded ? [null, null] : [rationalOf(x), rationalOf(y)];
    return m && n ? sameRational(m, n) : sameValue(x, y, CONSTANTS, rounded ? ROUNDED : EXACT);
  };
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
