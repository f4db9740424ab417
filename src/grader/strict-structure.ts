import { ROW } from "./strict-clean.ts";

const OPEN = "([{";
const CLOSE = ")]}";

/** Splits where `separators` stand outside all brackets. */
export function splitTop(text: string, separator: RegExp): string[] {
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

export const COMMA = /[,;]|(?<![a-zA-Z])(?:and|or)(?![a-zA-Z])/y;
export const CUP = /\\cup|∪/y;
export const CUP_ANYWHERE = /\\cup|∪/;
export const EQUALS = /(?<![<>!])=/y;

export interface Bracketed {
  open: string;
  close: string;
  parts: string[];
}

/** A text that one pair of brackets holds whole, split at its commas. */
export function bracketed(text: string): Bracketed | null {
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
export function sameMembers<T>(a: readonly T[], b: readonly T[], equal: (x: T, y: T) => boolean): boolean {
  if (a.length !== b.length || a.length > 200) return false;
  const left = [...b];
  return a.every((x) => {
    const at = left.findIndex((y) => equal(x, y));
    if (at < 0) return false;
    left.splice(at, 1);
    return true;
  });
}

/** Solutions named twice count once; numbers may repeat. */
export const distinctTuples = (members: readonly string[]): readonly string[] =>
  members.every((member) => member.startsWith("("))
    ? [...new Set(members.map((member) => member.replaceAll(" ", "")))]
    : members;

/** p=5,q=2;p=7,q=2 as (5,2), (7,2). */
export function namedAsTuples(text: string): string | null {
  const groups = text.split(";").map((group) => splitTop(group, COMMA).map((part) => splitTop(part, EQUALS)));
  const named = groups.every(
    (group) => group.length > 1 && group.every((sides) => sides.length === 2 && /^[a-zA-Z](_\w+)?$/.test(sides[0]!)),
  );
  if (groups.length < 2 || !named) return null;
  return groups.map((group) => `(${group.map(([, value]) => value!).join(", ")})`).join(", ");
}

/** a < x \le b as the interval (a, b]. */
export function chainAsInterval(text: string): string | null {
  const less = String.raw`(<|\\lt(?![a-zA-Z])|\\leq?(?![a-zA-Z])|\\leqslant|<=|≤)`;
  const [, low, first, middle, second, high] =
    new RegExp(`^([^<>=]+?)${less}([^<>=]+?)${less}([^<>=]+)$`).exec(text) ?? [];
  if (low === undefined || !/[a-zA-Z]/.test(middle!)) return null;
  const closed = (operator: string) => !["<", "\\lt"].includes(operator);
  return `${closed(first!) ? "[" : "("}${low.trim()}, ${high!.trim()}${closed(second!) ? "]" : ")"}`;
}

/** At commas that separate, not those in 1,234. */
export function splitList(text: string): string[] {
  if (/^[-+]?\d{1,3}(,\d{3})+(\.\d+)?%?$/.test(text.trim())) return [text.replaceAll(",", "")];
  return splitTop(text, COMMA).filter((part) => part !== "");
}

/** a \pm b as the list a + b, a - b. */
export function expandPlusMinus(text: string): string | null {
  if (!/\\pm|±/.test(text) || /[,;]/.test(text) || (text.match(/\\pm|±/g)?.length ?? 0) > 1) return null;
  return `${text.replace(/\\pm|±/, "+")}, ${text.replace(/\\pm|±/, "-")}`;
}

export function matrix(text: string): string[][] | null {
  const body = /^[([]?\s*\\begin\{[pb]?matrix\}(.*)\\end\{[pb]?matrix\}\s*[)\]]?$/s.exec(text)?.[1];
  return body === undefined
    ? null
    : body
        .split(ROW)
        .map((row) => row.trim())
        .filter((row) => row !== "")
        .map((row) => row.split("&").map((cell) => cell.trim()));
}

/** x > a as (a, \\infty), where the other answer is an interval without a bound. */
export function rayAsInterval(text: string, other: string): string | null {
  if (!/^[([].*\\infty.*[)\]]$/.test(other)) return null;
  const operator = String.raw`(<=|>=|<|>|\\leqslant|\\geqslant|\\leq?(?![a-zA-Z])|\\geq?(?![a-zA-Z])|\\lt(?![a-zA-Z])|\\gt(?![a-zA-Z])|≤|≥)`;
  const name = String.raw`[a-zA-Z](?:_\{?\w+\}?)?`;
  const right = new RegExp(`^${name}\\s*${operator}\\s*([^<>=]+)$`).exec(text);
  const left = new RegExp(`^([^<>=]+?)\\s*${operator}\\s*${name}$`).exec(text);
  const [sign, bound] = right ? [right[1]!, right[2]!] : left ? [left[2]!, left[1]!] : [null, ""];
  if (sign === null || /\\[lg]e|\\[lg]t|[≤≥]/.test(bound)) return null;
  const closed = !["<", ">", "\\lt", "\\gt"].includes(sign);
  const above = /^(>|\\g|≥)/.test(sign) === (right !== null);
  return above ? `${closed ? "[" : "("}${bound}, \\infty)` : `(-\\infty, ${bound}${closed ? "]" : ")"}`;
}

/** A union of sets of single things as one set. */
export function mergedSets(text: string): string | null {
  const sets = splitTop(text, CUP).map(bracketed);
  if (sets.length < 2 || !sets.every((set) => set?.open === "{")) return null;
  return `\\{${[...new Set(sets.flatMap((set) => set!.parts))].join(", ")}\\}`;
}
