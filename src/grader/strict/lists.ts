import type { Expression } from "../formula/expression.ts";

type Call = Expression & { kind: "call" };
type Same = (a: Expression, b: Expression) => boolean;

/** Most members that are compared each with each. */
const MOST_MEMBERS = 200;

export const isList = (x: Expression): boolean => x.kind === "call" && ["list", "or", "and"].includes(x.name);

/** The parts of a union of unions, in one row. */
export const parts = (x: Call): readonly Expression[] =>
  x.args.flatMap((part) => (part.kind === "call" && part.name === x.name ? parts(part) : [part]));

/** Whether two lists hold equal things, each used once. */
export function sameMembers(a: readonly Expression[], b: readonly Expression[], same: Same): boolean {
  if (a.length !== b.length || a.length > MOST_MEMBERS) return false;
  // In a list with dots the order says what they stand for.
  if (a.some(isDots) || b.some(isDots)) return a.every((x, i) => same(x, b[i]!));
  const left = [...b];
  return a.every((x) => {
    const at = left.findIndex((y) => same(x, y));
    if (at < 0) return false;
    left.splice(at, 1);
    return true;
  });
}

const isDots = (x: Expression): boolean => x.kind === "symbol" && x.name === "\\ldots";

/** Members of which none is equal to one before it. */
export function distinct(members: readonly Expression[], same: Same): readonly Expression[] {
  if (members.length > MOST_MEMBERS) return members;
  const result: Expression[] = [];
  for (const member of members) if (!result.some((other) => same(other, member))) result.push(member);
  return result;
}

/**
 * What a list or set holds. Of values that are given to different names, x = 1, y = 2, the values, as written or in the order of
 * the names; x_1 = 2, x_2 = 3 stays, for it names solutions of one thing.
 */
export function membersOf(list: Call, order: "as written" | "by name" = "as written"): readonly Expression[] {
  const named = list.args.map((part) =>
    part.kind === "relation" && part.operator === "=" && part.left.kind === "symbol"
      ? { name: part.left.name, value: part.right }
      : null,
  );
  if (!named.every((part) => part !== null)) return list.args;
  const letters = new Set(named.map(({ name }) => name.replace(/_.*$/, "")));
  if (letters.size !== named.length) return order === "by name" ? named.map(({ value }) => value) : list.args;
  const sorted = order === "by name" ? named.toSorted((x, y) => (x.name < y.name ? -1 : 1)) : named;
  return sorted.map(({ value }) => value);
}
