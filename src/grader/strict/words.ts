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
for (const [word, value] of [
  ["twelfth", 12],
  ["twentieth", 20],
  ["hundredth", 100],
  ["thousandth", 1000],
  ["millionth", 1e6],
] as const)
  for (const form of [word, `${word}s`]) DENOMINATORS.set(form, value);

/** Marks that words stand for: one word, or several. */
const MARKS: readonly (readonly [words: string, tokens: string])[] = [
  ["to the power of", "^"],
  ["multiplied by", "*"],
  ["divided by", "/"],
  ["out of", "/"],
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
  ["twice", "2 *"],
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

interface Replaced {
  tokens: Token[];
  /** Behind the words that were read. */
  end: number;
}

/** Words that name numbers and what is done to them, as the numbers and marks that they stand for. */
export function withoutNumberWords(tokens: readonly Token[]): Token[] {
  const result: Token[] = [];
  for (let at = 0; at < tokens.length;) {
    const token = tokens[at]!;
    const isWord = token.kind === "word" || (token.kind === "letter" && token.text === "a");
    const replaced = isWord ? (fractionWords(tokens, at, result) ?? countedWords(tokens, at, result)) : null;
    result.push(...(replaced?.tokens ?? [token]));
    at = replaced?.end ?? at + 1;
  }
  return result;
}

const endsValue = (token: Token | undefined): boolean =>
  token !== undefined && (token.kind === "number" || token.text === "}" || token.text === ")");

/** Two thirds, a quarter, two and a half, half, 3 halves. */
function fractionWords(tokens: readonly Token[], at: number, before: readonly Token[]): Replaced | null {
  const word = (i: number) => tokens[i]?.text.toLowerCase() ?? "";
  const under = (i: number) => (tokens[i]?.kind === "word" ? DENOMINATORS.get(word(i)) : undefined);
  const behindValue = endsValue(before.at(-1));
  const start = word(at) === "and" && behindValue ? at + 1 : at;
  const over = word(start) === "a" ? 1 : VALUES.get(word(start));
  if (over !== undefined) {
    const next = word(start + 1) === "-" ? start + 2 : start + 1;
    const denominator = under(next);
    return denominator === undefined ? null : { tokens: fraction(over, denominator), end: next + 1 };
  }
  const denominator = start === at ? under(at) : undefined;
  if (denominator !== undefined && before.at(-1)?.kind === "number")
    return { tokens: [mark("*"), ...fraction(1, denominator)], end: at + 1 };
  return word(at) === "half" && !behindValue ? { tokens: fraction(1, 2), end: at + 1 } : null;
}

/** Five million, two point five, minus seven, five squared. */
function countedWords(tokens: readonly Token[], at: number, before: readonly Token[]): Replaced | null {
  const token = tokens[at]!;
  const last = before.at(-1);
  const scale = MULTIPLES[singular(token.text.toLowerCase())];
  if (scale !== undefined && endsValue(last)) return { tokens: [mark("*"), numeral(scale, true)], end: at + 1 };
  // A hundred, half a million.
  if (token.text.toLowerCase() === "a") {
    const counted = MULTIPLES[tokens[at + 1]?.text.toLowerCase() ?? ""];
    if (counted === undefined) return null;
    if (endsValue(last)) return { tokens: [mark("*"), numeral(counted, true)], end: at + 2 };
    return countedWords(tokens, at + 1, before) ?? { tokens: [numeral(counted, true)], end: at + 2 };
  }
  const number = endsValue(last) ? null : spoken(tokens, at);
  if (number) {
    const decimals = digitsBehindPoint(tokens, number.end);
    const text = `${number.value}${decimals === "" ? "" : `.${decimals}`}`;
    return {
      tokens: [{ kind: "number", text, spaced: token.spaced }],
      end: number.end + (decimals === "" ? 0 : 1 + decimals.length),
    };
  }
  // x in a set; five in is a length, and five times how often.
  const next = tokens[at + 1]?.kind === "number";
  if (["in", "of"].includes(token.text) && endsValue(last) && next)
    return { tokens: [mark(token.text === "in" ? "/" : "*")], end: at + 1 };
  if (token.text === "in" && last?.kind !== "letter") return null;
  return token.text === "times" && at + 1 === tokens.length ? null : marksAt(tokens, at);
}

/** Digits spelled out after "point", "" where there are none. */
function digitsBehindPoint(tokens: readonly Token[], at: number): string {
  if (tokens[at]?.text.toLowerCase() !== "point") return "";
  let digits = "";
  for (let i = at + 1; i < tokens.length; i++) {
    const value = tokens[i]!.kind === "word" ? VALUES.get(tokens[i]!.text.toLowerCase()) : undefined;
    if (value === undefined || value > 9) break;
    digits += String(value);
  }
  return digits;
}

function marksAt(tokens: readonly Token[], at: number): Replaced | null {
  for (const [words, marks] of MARKS) {
    const list = words.split(" ");
    if (list.every((word, i) => tokens[at + i]?.text.toLowerCase() === word && tokens[at + i]!.kind === "word"))
      return { tokens: marks.split(" ").map((text) => mark(text)), end: at + list.length };
  }
  return null;
}
