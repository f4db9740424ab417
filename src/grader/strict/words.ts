import type { Token } from "./tokens.ts";

const SMALL =
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(
    " ",
  );
const TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split(" ");
const VALUES = new Map<string, number>([
  ...SMALL.map((word, i) => [word, i] as const),
  ...TENS.map((word, i) => [word, 20 + 10 * i] as const),
]);
const HUNDRED = /^hundreds?$/;
/** What a number is multiplied by, as a power of ten, and a dozen. */
const SCALES: Readonly<Record<string, number>> = { thousand: 1e3, million: 1e6, billion: 1e9, trillion: 1e12 };
const MULTIPLES: Readonly<Record<string, number>> = { ...SCALES, hundred: 100, dozen: 12 };
const DENOMINATORS = new Map<string, number>(
  "half third fourth fifth sixth seventh eighth ninth tenth"
    .split(" ")
    .flatMap((word, i) => [[word, i + 2] as const, [word === "half" ? "halves" : `${word}s`, i + 2] as const]),
)
  .set("quarter", 4)
  .set("quarters", 4);

/** Marks that words stand for: one word, or several. */
const MARKS: readonly (readonly [words: string, tokens: string])[] = [
  ["to the power of", "^"],
  ["multiplied by", "*"],
  ["divided by", "/"],
  ["square root of", "\\sqrt"],
  ["cube root of", "\\sqrt [ 3 ]"],
  ["is equal to", "="],
  ["is less than or equal to", "<="],
  ["is greater than or equal to", ">="],
  ["is less than", "<"],
  ["is greater than", ">"],
  ["is not equal to", "!="],
  ["factorial", "!"],
  ["equals", "="],
  ["plus", "+"],
  ["minus", "-"],
  ["negative", "-"],
  ["times", "*"],
  ["over", "/"],
  ["squared", "^ 2"],
  ["cubed", "^ 3"],
  ["percent", "%"],
  ["per cent", "%"],
  ["percentage", "%"],
  ["pct", "%"],
  ["in", "\\in"],
];

const singular = (word: string): string => word.replace(/s$/, "");
const isSmall = (token: Token | undefined): boolean => token?.kind === "word" && VALUES.has(token.text.toLowerCase());

/** The number that words from `at` state, as English speaks it, and where they end; null if none begins there. */
function spoken(tokens: readonly Token[], at: number): { value: number; end: number } | null {
  let [total, group, end, any] = [0, 0, at, false];
  for (let i = at; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token.text === "-" && i > at && isSmall(tokens[i - 1]) && isSmall(tokens[i + 1])) continue;
    const word = token.kind === "word" ? token.text.toLowerCase() : "";
    const joins =
      word === "and" && any && (HUNDRED.test(tokens[i - 1]!.text) || Object.hasOwn(SCALES, tokens[i - 1]!.text));
    if (joins && isSmall(tokens[i + 1])) continue;
    const value = VALUES.get(word);
    const scale = SCALES[singular(word)];
    if (value !== undefined) group += value;
    else if (HUNDRED.test(word)) group = Math.max(1, group) * 100;
    else if (scale !== undefined) {
      total += Math.max(any ? 0 : 1, group) * scale;
      group = 0;
    } else break;
    any = true;
    end = i + 1;
  }
  return any ? { value: total + group, end } : null;
}

const numeral = (value: number, spaced: boolean): Token => ({ kind: "number", text: String(value), spaced });
const mark = (text: string, spaced = true): Token => ({
  kind: text.startsWith("\\") ? "command" : /^\d/.test(text) ? "number" : "mark",
  text,
  spaced,
});
const fraction = (over: number, under: number): Token[] => [
  mark("\\frac"),
  ...["{", String(over), "}", "{", String(under), "}"].map((text) => mark(text)),
];

/** Words that name numbers and what is done to them, as the numbers and marks that they stand for. */
export function withoutNumberWords(tokens: readonly Token[]): Token[] {
  const result: Token[] = [];
  for (let at = 0; at < tokens.length;) {
    const token = tokens[at]!;
    if (token.kind !== "word" && !(token.kind === "letter" && token.text === "a")) {
      result.push(token);
      at++;
      continue;
    }
    const part = fractionWords(tokens, at, result);
    const number = spoken(tokens, at);
    const scale = MULTIPLES[singular(token.text.toLowerCase())];
    // Five in is a length.
    const marks = token.text === "in" && result.at(-1)?.kind === "number" ? null : marksAt(tokens, at);
    if (part) {
      result.push(...part.tokens);
      at = part.end;
    } else if (scale !== undefined && endsValue(result.at(-1))) {
      result.push(mark("*"), numeral(scale, true));
      at++;
    } else if (number && !endsValue(result.at(-1))) {
      result.push(numeral(number.value, token.spaced));
      at = number.end;
    } else if (marks) {
      result.push(...marks.tokens);
      at = marks.end;
    } else {
      result.push(token);
      at++;
    }
  }
  return result;
}

const endsValue = (token: Token | undefined): boolean =>
  token !== undefined && (token.kind === "number" || token.text === "}" || token.text === ")");

/** One half, two thirds, a quarter, two and a half. */
function fractionWords(
  tokens: readonly Token[],
  at: number,
  before: readonly Token[],
): { tokens: Token[]; end: number } | null {
  const word = (i: number) => tokens[i]?.text.toLowerCase() ?? "";
  const under = (i: number) => (tokens[i]?.kind === "word" ? DENOMINATORS.get(word(i)) : undefined);
  let start = at;
  const joined = word(at) === "and" && endsValue(before.at(-1));
  if (joined) start++;
  const over = word(start) === "a" ? 1 : VALUES.get(word(start));
  if (over !== undefined) {
    const next = word(start + 1) === "-" ? start + 2 : start + 1;
    const denominator = under(next);
    if (denominator === undefined) return null;
    return { tokens: [...(joined ? [mark("+")] : []), ...fraction(over, denominator)], end: next + 1 };
  }
  if (joined || word(at) !== "half") return null;
  return endsValue(before.at(-1)) ? null : { tokens: fraction(1, 2), end: at + 1 };
}

function marksAt(tokens: readonly Token[], at: number): { tokens: Token[]; end: number } | null {
  for (const [words, marks] of MARKS) {
    const list = words.split(" ");
    if (list.every((word, i) => tokens[at + i]?.text.toLowerCase() === word && tokens[at + i]!.kind === "word"))
      return { tokens: marks.split(" ").map((text) => mark(text)), end: at + list.length };
  }
  return null;
}
