import { asciiDigits } from "../unicode.ts";

/** What word2number reads: the English number words of a text, as one number. */

const SMALL: Readonly<Record<string, number>> = {
  zero: 0,
  one: 1,
  two: 2,
  three: 3,
  four: 4,
  five: 5,
  six: 6,
  seven: 7,
  eight: 8,
  nine: 9,
  ten: 10,
  eleven: 11,
  twelve: 12,
  thirteen: 13,
  fourteen: 14,
  fifteen: 15,
  sixteen: 16,
  seventeen: 17,
  eighteen: 18,
  nineteen: 19,
  twenty: 20,
  thirty: 30,
  forty: 40,
  fifty: 50,
  sixty: 60,
  seventy: 70,
  eighty: 80,
  ninety: 90,
};
const VALUES: Readonly<Record<string, number>> = { ...SMALL, hundred: 100, thousand: 1e3, million: 1e6, billion: 1e9 };
const SCALES = ["billion", "million", "thousand"];
const DIGITS = Object.keys(SMALL).slice(0, 10);

/**
 * The words between two scales: three are the first times the second plus the third, whatever they are, two a sum unless one
 * is "hundred", and of five and more only the first counts. NaN if there are none.
 */
function segment(words: readonly string[]): number {
  const [a = NaN, b = 0, c = 0, d = 0] = words.map((word) => VALUES[word]!);
  if (words.length === 3 || words.length === 4) return a * b + c + d;
  if (words.length === 2) return words.includes("hundred") ? a * b : a + b;
  return a;
}

/** What stands behind "point": digits alone, or it counts for nothing. */
function fraction(words: readonly string[]): number | null {
  if (words.length === 0 || words.some((word) => !DIGITS.includes(word))) return null;
  return Number(`0.${words.map((word) => SMALL[word]!).join("")}`);
}

/** A float as Python prints it. */
const pythonFloat = (value: number): string => (Number.isInteger(value) ? `${value}.0` : String(value));

/**
 * The number, or null if there is no number word or they cannot be read. A text of digits alone is its own integer. Number
 * words among others are taken from where they stand: "three apples" is 3, "no one" is 1.
 */
export function wordsToNumber(text: string): string | null {
  const plain = text.replaceAll("-", " ").toLowerCase();
  const digits = integerOf(plain);
  if (digits !== null) return digits;
  const words = plain
    .trim()
    .split(/\s+/)
    .filter((word) => word === "point" || Object.hasOwn(VALUES, word));
  if (words.length === 0) return null;
  if ([...SCALES, "point"].some((word) => words.indexOf(word) !== words.lastIndexOf(word))) return null;

  const point = words.indexOf("point");
  const whole = wholeNumber(point >= 0 ? words.slice(0, point) : words);
  const decimals = point >= 0 ? fraction(words.slice(point + 1)) : null;
  if (Number.isNaN(whole)) return null;
  return decimals === null ? String(whole) : pythonFloat(whole + decimals);
}

/** NaN where a scale has nothing before it, or a greater one behind it. */
function wholeNumber(words: readonly string[]): number {
  if (words.length === 0) return 0;
  if (words.length === 1) return VALUES[words[0]!]!;
  let total = 0;
  let start = 0;
  for (const scale of SCALES) {
    const at = words.indexOf(scale);
    if (at < 0) continue;
    total += at < start ? NaN : segment(words.slice(start, at)) * VALUES[scale]!;
    start = at + 1;
  }
  if (start < words.length) return total + segment(words.slice(start));
  // Upstream counts what stands behind a greater scale once more where the text ends with a smaller one.
  const greater = SCALES.map((scale) => words.indexOf(scale)).filter((at) => at >= 0 && at < words.length - 1);
  return greater.length > 0 ? total + segment(words.slice(greater.at(-1)! + 1)) : total;
}

/** Digits of any script as an integer without leading zeros. */
function integerOf(text: string): string | null {
  if (!/^\p{Nd}+$/u.test(text)) return null;
  const ascii = asciiDigits(text);
  return ascii.replace(/^0+(?=\d)/, "");
}
