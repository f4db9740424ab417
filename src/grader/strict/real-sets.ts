import type { Budget } from "../formula/budget.ts";
import { isConstant, negate, number, symbol, symbolsOf, type Expression } from "../formula/expression.ts";
import { CONSTANTS, infinity, realValue, sameNumber } from "./same-value.ts";
import { boundaries, holdsAt } from "./solve.ts";

interface Bound {
  x: Expression;
  /** Its value, for the order. */
  at: number;
  closed: boolean;
}
interface Piece {
  low: Bound;
  high: Bound;
}
/** Disjoint intervals and points in order, none touching the next. */
type RealSet = readonly Piece[];

const MOST_PIECES = 100;
const INFINITY = symbol("\\infty");
const LOWEST: Bound = { x: negate(INFINITY), at: -Infinity, closed: false };
const HIGHEST: Bound = { x: INFINITY, at: Infinity, closed: false };
const ALL: RealSet = [{ low: LOWEST, high: HIGHEST }];

/** Two bounds whose values differ by rounding alone are one place. */
const samePlace = (a: Bound, b: Bound): boolean =>
  a.at === b.at || (Number.isFinite(a.at) && Math.abs(a.at - b.at) <= 1e-12 * Math.min(Math.abs(a.at), Math.abs(b.at)));
const before = (a: Bound, b: Bound): boolean => a.at < b.at && !samePlace(a, b);

/** Puts pieces in order and joins those that touch. */
function joined(pieces: readonly Piece[]): RealSet {
  const result: Piece[] = [];
  for (const piece of pieces.toSorted((a, b) =>
    samePlace(a.low, b.low) ? Number(b.low.closed) - Number(a.low.closed) : a.low.at - b.low.at,
  )) {
    const last = result.at(-1);
    const touches =
      last &&
      (before(piece.low, last.high) || (samePlace(piece.low, last.high) && (piece.low.closed || last.high.closed)));
    if (!touches) result.push({ ...piece });
    else if (before(last.high, piece.high) || (samePlace(last.high, piece.high) && piece.high.closed))
      last.high = piece.high;
  }
  return result;
}

function complement(set: RealSet): RealSet {
  const result: Piece[] = [];
  let low = LOWEST;
  for (const piece of set) {
    const high = { ...piece.low, closed: !piece.low.closed };
    if (piece.low.at !== -Infinity && (before(low, high) || (low.closed && high.closed))) result.push({ low, high });
    low = { ...piece.high, closed: !piece.high.closed };
    if (piece.high.at === Infinity) return result;
  }
  return [...result, { low, high: HIGHEST }];
}

const union = (...sets: RealSet[]): RealSet => joined(sets.flat());
const intersection = (...sets: RealSet[]): RealSet => complement(union(...sets.map(complement)));

/** Whether no number is in two of the sets: a union that says a thing twice is not a set's description. */
const apart = (sets: readonly RealSet[]): boolean =>
  sets.every((set, i) =>
    sets.slice(0, i).every((other) => intersection(set, other).every(({ low, high }) => samePlace(low, high))),
  );

export const sameSet = (a: RealSet, b: RealSet, budget: Budget): boolean => {
  const same = (x: Bound, y: Bound) => x.closed === y.closed && sameNumber(x.x, y.x, budget);
  return a.length === b.length && a.every((piece, i) => same(piece.low, b[i]!.low) && same(piece.high, b[i]!.high));
};

/** Whether an answer says that it is a set of numbers: by inequalities, or as one that is no tuple. */
export function speaksOfSets(x: Expression): boolean {
  if (x.kind === "symbol") return x.name === "\\R" || x.name === "\\emptyset";
  if (x.kind === "relation")
    return x.operator !== "=" && x.operator !== "mod" && (x.operator !== "in" || speaksOfSets(x.right));
  if (x.kind !== "call") return false;
  if (["union", "intersection", "setminus", "builder", "(]", "[)"].includes(x.name)) return true;
  return ["or", "and", "list", "chain"].includes(x.name) && x.args.some(speaksOfSets);
}

/** The one symbol that relations are about, null where there are several. */
function variableOf(x: Expression): string | null {
  const names = namesIn(x);
  return names.size === 1 ? [...names][0]! : null;
}

const namesIn = (x: Expression): ReadonlySet<string> =>
  new Set(
    symbolsOf(x).filter((name) => !Object.hasOwn(CONSTANTS, name) && !/^\\(?:infty|emptyset|[RZNQC])$/.test(name)),
  );

/** The variable of an answer's relations, "" where it has none. */
export const variable = (x: Expression): string => variableOf(x) ?? "";

/** The real numbers that an answer describes, null where it describes none, more than one thing, or too many pieces. */
export function realSet(x: Expression, budget: Budget): RealSet | null {
  if (namesIn(x).size > 1) return null;
  const set = read(x, budget);
  return set && set.length <= MOST_PIECES ? set : null;
}

const membersOf = (x: Expression): readonly Expression[] => (x.kind === "call" && x.name === "list" ? x.args : [x]);

function read(x: Expression, budget: Budget): RealSet | null {
  budget.spend();
  // What is united with a set is one, also where its braces are left out.
  const operation = x.kind === "call" && ["union", "intersection", "setminus"].includes(x.name);
  const all = (parts: readonly Expression[]) => {
    const sets = parts.map((part) => read(part, budget) ?? (operation ? ofPoints(membersOf(part), budget) : null));
    return sets.every((set) => set !== null) ? sets : null;
  };
  if (x.kind === "symbol") return x.name === "\\R" ? ALL : x.name === "\\emptyset" ? [] : null;
  if (x.kind === "relation") return ofRelation(x, budget);
  if (x.kind !== "call") return null;
  switch (x.name) {
    case "()":
    case "[]":
    case "(]":
    case "[)":
      return ofInterval(x.name, x.args, budget);
    case "set":
      return ofPoints(x.args, budget);
    case "union": {
      const sets = all(x.args);
      return sets && apart(sets) ? union(...sets) : null;
    }
    case "or": {
      const sets = all(x.args);
      return sets && union(...sets);
    }
    case "intersection":
    case "chain":
    case "and": {
      const sets = all(x.args);
      return sets && intersection(...sets);
    }
    case "list":
      return ofList(x.args, budget);
    case "setminus": {
      const [from, without] = all(x.args) ?? [];
      return from && without ? intersection(from, complement(without)) : null;
    }
    case "builder": {
      const [of, condition] = x.args as [Expression, Expression];
      const within = of.kind === "relation" && of.operator === "in" ? read(of.right, budget) : ALL;
      const set = read(condition, budget);
      return within && set && intersection(within, set);
    }
    default:
      return null;
  }
}

function point(x: Expression, budget: Budget): Bound | null {
  const at = isConstant(x, { ...CONSTANTS, "\\infty": true }) ? realValue(x, budget) : null;
  return at === null ? null : { x, at, closed: true };
}

function ofInterval(brackets: string, args: readonly Expression[], budget: Budget): RealSet | null {
  const [low, high] = args.length === 2 ? args.map((arg) => point(arg, budget)) : [];
  if (!low || !high || !before(low, high)) return null;
  return [{ low: { ...low, closed: brackets.startsWith("[") }, high: { ...high, closed: brackets.endsWith("]") } }];
}

function ofPoints(args: readonly Expression[], budget: Budget): RealSet | null {
  const points = args.map((arg) => point(arg, budget));
  return points.every((p) => p && Number.isFinite(p.at)) ? joined(points.map((p) => ({ low: p!, high: p! }))) : null;
}

/** Conditions after each other hold together, unless nothing fulfils them all: then they are cases. x \ne 1, 2 excludes both. */
function ofList(args: readonly Expression[], budget: Budget): RealSet | null {
  const conditions = args.map((arg, i): Expression => {
    const first = args[0]!;
    return i > 0 && arg.kind !== "relation" && first.kind === "relation" && ["!=", "notin"].includes(first.operator)
      ? { ...first, right: arg }
      : arg;
  });
  const sets = conditions.map((condition) => read(condition, budget));
  if (!sets.every((set) => set !== null)) return null;
  const together = intersection(...sets);
  return together.length > 0 ? together : union(...sets);
}

function ofRelation(x: Expression & { kind: "relation" }, budget: Budget): RealSet | null {
  const name = variableOf(x);
  if (name === null) return null;
  if (x.operator === "in" || x.operator === "notin") {
    const set = x.left.kind === "symbol" ? (read(x.right, budget) ?? ofPoints(membersOf(x.right), budget)) : null;
    return set && (x.operator === "in" ? set : complement(set));
  }
  const [left, right] = [infinity(x.left), infinity(x.right)];
  if (/^[<>]/.test(x.operator) && (left !== 0 || right !== 0))
    return x.operator.startsWith("<") === (left < 0 || right > 0) ? ALL : [];
  const places = boundaries(x, name, budget)?.map((place) => point(place, budget));
  if (!places || !places.every((place) => place && Number.isFinite(place.at))) return null;
  const bounds = joined(places.map((place) => ({ low: place!, high: place! }))).map(({ low }) => low);
  // The relation holds on all or none of each stretch between two boundaries.
  const pieces: Piece[] = [];
  for (let i = 0; i <= bounds.length; i++) {
    const [low, high] = [bounds[i - 1] ?? LOWEST, bounds[i] ?? HIGHEST];
    const inside = holdsAt(x, name, number(between(low.at, high.at)), budget);
    if (inside === null) return null;
    if (inside) pieces.push({ low: { ...low, closed: false }, high: { ...high, closed: false } });
    if (!bounds[i]) break;
    const onIt = holdsAt(x, name, bounds[i]!.x, budget);
    if (onIt === null) return null;
    if (onIt) pieces.push({ low: bounds[i]!, high: bounds[i]! });
  }
  return joined(pieces);
}

const between = (low: number, high: number): number => {
  if (low === -Infinity) return high === Infinity ? 0 : high - 1 - Math.abs(high);
  return high === Infinity ? low + 1 + Math.abs(low) : (low + high) / 2;
};
