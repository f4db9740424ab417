import { Budget, BudgetError } from "../formula/budget.ts";
import { call, divide, multiply, number, power, subtract, type Expression } from "../formula/expression.ts";
import { distinct, isList, membersOf, parts, sameMembers } from "./lists.ts";
import { matrixOf, rowsOf, withMatricesJoined } from "./matrices.ts";
import { compound, sameMeasured } from "./measured.ts";
import { readTidied } from "./read.ts";
import { asInterval, hasNumbersAlone, isName, sameRelation } from "./relations.ts";
import { realSet, sameSet, speaksOfSets, variable } from "./real-sets.ts";
import { sameNumber, sameValue } from "./same-value.ts";
import { isGrouped, LONGEST, tidy } from "./spelling.ts";
import { hasPlusMinus, logarithms, plusMinus } from "./variants.ts";

/** What a comparison may take in all: about half a second. */
const STEPS = 200_000;
const DEEPEST = 24;

/**
 * Whether two answers are mathematically the same: see docs/grader.md for what that is. Where both are read as mathematics, what
 * they say decides; where one is not, their texts do. An empty answer equals nothing.
 *
 * @returns what made them equal, or null
 */
export function strictEqual(pred: string, ref: string): string | null {
  if (pred.length > LONGEST || ref.length > LONGEST) return null;
  const [p, r] = withDecimalCommas(tidy(pred), tidy(ref));
  if (p === "" || r === "") return null;
  if (p === r) return "equal text";
  const [a, b] = [readTidied(p), readTidied(r)];
  if (!a || !b) return sameText(p, r) ? "equal text" : null;
  try {
    const comparison = new Comparison(new Budget(STEPS));
    // A logarithm without a base is the natural one or that to base ten, but the same on both sides.
    for (const [x, y] of logarithms(a, b)) {
      const reason = comparison.equal(x, y);
      if (reason !== null) return reason;
    }
    return null;
  } catch (error) {
    if (error instanceof BudgetError || error instanceof RangeError) return null;
    throw error;
  }
}

/** 1,22 beside 1.22 has a decimal comma; 1,234 is never 1.234. */
function withDecimalCommas(p: string, r: string): [string, string] {
  const comma = (text: string) => /^[-+]?\d+,\d+$/.test(text) && !isGrouped(text.replace(/^[-+]/, ""));
  const point = (text: string) => /^[-+]?\d+\.\d+$/.test(text);
  if (comma(p) && point(r)) return [p.replace(",", "."), r];
  if (comma(r) && point(p)) return [p, r.replace(",", ".")];
  return [p, r];
}

/** Texts that are equal, or lists of equal texts. */
function sameText(a: string, b: string): boolean {
  const members = (text: string) =>
    splitOutside(text.replace(/^\\\{(.*)\\\}$/s, "$1"))
      .map(plain)
      .sort();
  return plain(a) === plain(b) || members(a).join("\n") === members(b).join("\n");
}

/** At commas outside all brackets. */
function splitOutside(text: string): string[] {
  const parts = [""];
  let depth = 0;
  for (const c of text) {
    depth += "([{".includes(c) ? 1 : ")]}".includes(c) ? -1 : 0;
    if (c === "," && depth === 0) parts.push("");
    else parts.push(parts.pop()! + c);
  }
  return parts.map((part) => part.replace(/[.\s]+$/, "").trim());
}

/** A text without spaces that part nothing; of words alone in lower case. */
function plain(text: string): string {
  const bare = text
    .replaceAll(/\\(?:text|mathrm)\s*\{([^{}]*)\}/g, "$1")
    .replaceAll(/\\left(?![a-z])|\\right(?![a-z])/g, "");
  const squeezed = bare
    .replaceAll(/(\\[a-zA-Z]+)\s+(?![a-zA-Z])/g, "$1")
    .replaceAll(/(?<![\w.])\s+|\s+(?![\w.])/g, "")
    .replaceAll(/\s+/g, " ");
  return /^[a-zA-Z .,'-]+$/.test(squeezed) ? squeezed.toLowerCase() : squeezed;
}

class Comparison {
  readonly #budget: Budget;
  #depth = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** What makes two answers equal, or null. Throws BudgetError where that takes too long. */
  equal(a: Expression, b: Expression): string | null {
    if (++this.#depth > DEEPEST) throw new BudgetError();
    this.#budget.spend();
    const reason = this.#compare(withMatricesJoined(a), withMatricesJoined(b));
    this.#depth--;
    return reason;
  }

  readonly same = (a: Expression, b: Expression): boolean => this.equal(a, b) !== null;

  #compare(a: Expression, b: Expression): string | null {
    if (hasPlusMinus(a) || hasPlusMinus(b)) return this.equal(plusMinus(a), plusMinus(b));
    if (isList(a) !== isList(b)) {
      const whole = [a, b].map((x) => (isList(x) && x.kind === "call" ? compound(x.args) : x));
      if (whole[0] && whole[1]) return this.equal(whole[0], whole[1]);
    }
    if (isCall(a, "matrix") !== isCall(b, "matrix")) {
      const [x, y] = [matrixOf(a), matrixOf(b)];
      if (x !== a || y !== b) return this.equal(x, y);
    }
    if (isCall(a, "measured") || isCall(b, "measured")) return sameMeasured(a, b, (x, y) => this.equal(x, y));
    if (speaksOfSets(a) || speaksOfSets(b)) {
      const [x, y] = [realSet(a, this.#budget), realSet(b, this.#budget)];
      const names = new Set([variable(a), variable(b)].filter((name) => name !== ""));
      // Two conditions that nothing fulfils are not the same for that: only the empty set is equal to each.
      const nothing = x?.length === 0 && y?.length === 0 && ![a, b].some((side) => side.kind === "symbol");
      if (x && y && !nothing) return names.size < 2 && sameSet(x, y, this.#budget) ? "the same set of numbers" : null;
    }
    const [single, other] = [alone(a), alone(b)];
    if (single !== a || other !== b) return this.equal(single, other);
    return this.#relations(a, b) ?? (isStructure(a) || isStructure(b) ? this.#structures(a, b) : this.#scalars(a, b));
  }

  #relations(a: Expression, b: Expression): string | null {
    const [p, r] = [equation(a), equation(b)];
    if (p && isList(b) && byName(p)) return this.equal(byName(p)!, b);
    if (r && isList(a) && byName(r)) return this.equal(a, byName(r)!);
    if (p && r) return sameRelation(p, r, this.same, this.#budget);
    if (p && (!isList(b) || p.operator === "in")) return this.#valueOf(p, b);
    return r && (!isList(a) || r.operator === "in") ? this.#valueOf(r, a) : null;
  }

  /** A named value, or one that was calculated, beside a bare one. */
  #valueOf(relation: Expression & { kind: "relation" }, value: Expression): string | null {
    const { operator, left, right } = relation;
    if (operator === "in" || operator === "mod") return isName(left) ? this.equal(right, value) : null;
    if (operator !== "=") return null;
    if (isName(left) || hasNumbersAlone(relation)) return this.equal(right, value);
    return isName(right) ? this.equal(left, value) : null;
  }

  #structures(a: Expression, b: Expression): string | null {
    const [p, r] = [asInterval(a), asInterval(b)];
    if ((p !== a) !== (r !== b)) return this.equal(p, r);
    if (a.kind !== "call" || b.kind !== "call")
      return isCall(a, "ratio") || isCall(b, "ratio") ? this.#ratio(a, b) : null;
    if (isList(a) || isList(b)) return this.#lists(a, b);
    if (a.name === "ratio" || b.name === "ratio") return this.#ratio(a, b);
    if (a.name !== b.name) return null;
    switch (a.name) {
      case "set":
        return sameMembers(distinct(a.args, this.same), distinct(b.args, this.same), this.same) ? "the same set" : null;
      case "union":
      case "intersection":
        return sameMembers(parts(a), parts(b), this.same) ? "the same union" : null;
      case "matrix":
        return this.#matrices(a, b);
      case "mod":
        return this.#residues(a, b);
      case "percent":
        return this.#scalars(a, b);
      default:
        return this.#inOrder(a.args, b.args) ? "equal parts" : null;
    }
  }

  #inOrder(a: readonly Expression[], b: readonly Expression[]): boolean {
    return a.length === b.length && a.every((part, i) => this.same(part, b[i]!));
  }

  #lists(a: Expression & { kind: "call" }, b: Expression & { kind: "call" }): string | null {
    const point = a.name === "()" ? a : b.name === "()" ? b : null;
    if (point) {
      // A point written without its brackets, or by its coordinates' names.
      const list = membersOf(point === a ? b : a, "by name");
      return this.#inOrder(list, point.args) ? "equal parts" : null;
    }
    const relations = [a, b].every((list) => list.args.every((part) => part.kind === "relation"));
    if (relations) return sameMembers(a.args, b.args, this.same) ? "the same list" : null;
    if ((!isList(a) && a.name !== "set") || (!isList(b) && b.name !== "set")) return null;
    const [x, y] = [membersOf(a), membersOf(b)];
    const ordered = [a, b].some((list) => membersOf(list) !== list.args && !isCall(list, "set"));
    const same =
      ordered && isList(a) && isList(b)
        ? this.#inOrder(x, y)
        : sameMembers(distinctTuples(x, this.same), distinctTuples(y, this.same), this.same);
    return same ? "the same list" : null;
  }

  #matrices(a: Expression & { kind: "call" }, b: Expression & { kind: "call" }): string | null {
    const [m, n] = [rowsOf(a), rowsOf(b)];
    return m.length === n.length && m.every((row, i) => this.#inOrder(row, n[i]!)) ? "equal matrices" : null;
  }

  /** Ratios up to a factor, times of day as they are; a ratio of two is a quotient. */
  #ratio(a: Expression, b: Expression): string | null {
    const quotient = (x: Expression) =>
      isCall(x, "ratio") && x.args.length === 2 ? divide(x.args[0]!, x.args[1]!) : x;
    if (!isCall(a, "ratio") || !isCall(b, "ratio")) {
      const [x, y] = [quotient(a), quotient(b)];
      return isStructure(x) || isStructure(y) ? null : this.#scalars(x, y);
    }
    const [p, r] = [a.args, b.args];
    if (isClock(p) || isClock(r) || [...p, ...r].some((part) => part.kind === "symbol" && part.name === "\\ldots"))
      return this.#inOrder(p, r) ? "equal parts" : null;
    const same = (i: number) => sameValue(multiply(p[i]!, r[0]!), multiply(r[i]!, p[0]!), this.#budget);
    return p.length === r.length && p.every((_, i) => i === 0 || same(i)) ? "equal ratios" : null;
  }

  #residues(a: Expression & { kind: "call" }, b: Expression & { kind: "call" }): string | null {
    const [[x, m], [y, n]] = [a.args, b.args] as [[Expression, Expression], [Expression, Expression]];
    if (!sameValue(m, n, this.#budget)) return null;
    const times = divide(subtract(x, y), m);
    const whole: Expression = { kind: "call", name: "floor", args: [times] };
    return sameValue(x, y, this.#budget) || sameValue(times, whole, this.#budget) ? "equal residues" : null;
  }

  /** Values; a percentage may be stated as its share or as its number. */
  #scalars(a: Expression, b: Expression): string | null {
    const same = (x: Expression, y: Expression) => sameNumber(x, y, this.#budget);
    const [p, r] = [a, b].map((x) => (isCall(x, "percent") ? x.args[0]! : x)) as [Expression, Expression];
    if (same(p, r)) return "equal values";
    if (sameLetters(a, b)) return "equal text";
    if ((p === a) === (r === b)) return null;
    const share = (x: Expression, inner: Expression) =>
      x === inner ? x : multiply(inner, power(number(100), number(-1)));
    return same(share(a, p), share(b, r)) ? "equal shares" : null;
  }
}

const isCall = (x: Expression, name: string): x is Expression & { kind: "call" } =>
  x.kind === "call" && x.name === name;

/** What is no value that can be calculated with. */
const STRUCTURES = new Set(
  "list or and set builder union intersection setminus matrix ratio clock mod based chain () (] [) [] percent".split(
    " ",
  ),
);
const isStructure = (x: Expression): boolean =>
  x.kind === "relation" || (x.kind === "call" && STRUCTURES.has(x.name) && x.name !== "percent");

/** A word beside the product that its letters would be; a's product is not A's. */
function sameLetters(a: Expression, b: Expression): boolean {
  const [p, r] = [lettersOf(a), lettersOf(b)];
  if (p === null || r === null || (a.kind === "multiply" && b.kind === "multiply")) return false;
  return p.toLowerCase() === r.toLowerCase();
}

/** Letters in a row, read as a word, which is in lower case, or as a product of them. */
function lettersOf(x: Expression): string | null {
  if (x.kind === "symbol") return x.name.startsWith('"') ? x.name.slice(1, -1) : null;
  if (x.kind !== "multiply") return null;
  const letters = x.terms.map((term) => (term.kind === "symbol" && /^[a-zA-Z]$/.test(term.name) ? term.name : null));
  return letters.every((letter) => letter !== null) ? letters.join("") : null;
}

/** A set of one thing is that thing. */
const alone = (x: Expression): Expression => (isCall(x, "set") && x.args.length === 1 ? x.args[0]! : x);

/** A relation, a chain of equations by its ends. */
function equation(x: Expression): (Expression & { kind: "relation" }) | null {
  if (x.kind === "relation") return x;
  if (!isCall(x, "chain")) return null;
  const relations = x.args.filter((part) => part.kind === "relation");
  const [first, last] = [relations[0]!, relations.at(-1)!];
  return relations.every(({ operator }) => operator === "=") ? { ...first, right: last.right } : null;
}

/** (x, y) = (1, 2) as x = 1, y = 2; null for any other equation. */
function byName({ operator, left, right }: Expression & { kind: "relation" }): Expression | null {
  if (operator !== "=" || !isCall(left, "()") || !isCall(right, "()") || left.args.length !== right.args.length)
    return null;
  return call(
    "list",
    ...left.args.map((name, i): Expression => ({ kind: "relation", operator, left: name, right: right.args[i]! })),
  );
}

/** Minutes below ten and full hours are no parts of a ratio. */
const isClock = (args: readonly Expression[]): boolean =>
  args.slice(1).some((part) => part.kind === "number" && part.text?.startsWith("0"));

/** Solutions named twice count once; numbers may repeat. */
const distinctTuples = (members: readonly Expression[], same: (a: Expression, b: Expression) => boolean) =>
  members.every((member) => isCall(member, "()")) ? distinct(members, same) : members;
