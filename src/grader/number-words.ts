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
const SCALES: readonly (readonly [string, number])[] = [
  ["billion", 1e9],
  ["million", 1e6],
  ["thousand", 1e3],
];
const WORDS = new Set([...Object.keys(SMALL), "hundred", "thousand", "million", "billion", "point"]);

/** Of a run of words below a thousand. Words that do not fit together are added up, as upstream does. */
function belowThousand(words: readonly string[]): number {
  if (words.length === 4) return (SMALL[words[0]!] ?? 1) * 100 + (SMALL[words[2]!] ?? 0) + (SMALL[words[3]!] ?? 0);
  if (words.length === 3)
    return words.includes("hundred") ? (SMALL[words[0]!] ?? 1) * 100 + (SMALL[words[2]!] ?? 0) : sum(words);
  if (words.length === 2) return words.includes("hundred") ? (SMALL[words[0]!] ?? 1) * 100 : sum(words);
  if (words.length === 1) return words[0] === "hundred" ? 100 : (SMALL[words[0]!] ?? 0);
  return 0;
}

const sum = (words: readonly string[]): number => words.reduce((total, word) => total + (SMALL[word] ?? 0), 0);

/** The decimal digits behind "point". */
const fraction = (words: readonly string[]): string => words.map((word) => SMALL[word] ?? "").join("");

/**
 * The number, or null if there is no number word. A text of digits alone is its own integer. Number words among others are
 * taken from where they stand: "three apples" is 3, "no one" is 1.
 */
export function wordsToNumber(text: string): string | null {
  const plain = text.replaceAll("-", " ").toLowerCase();
  const digits = integerOf(plain);
  if (digits !== null) return digits;
  const words = plain
    .trim()
    .split(/\s+/)
    .filter((word) => WORDS.has(word));
  if (words.length === 0) return null;
  const count = (word: string) => words.filter((other) => other === word).length;
  if (["thousand", "million", "billion", "point"].some((word) => count(word) > 1)) return null;

  const point = words.indexOf("point");
  let rest = point >= 0 ? words.slice(0, point) : words;
  const places = SCALES.map(([scale]) => rest.indexOf(scale));
  const present = places.filter((place) => place >= 0);
  if (present.some((place, i) => i > 0 && place < present[i - 1]!)) return null;
  let total = 0;
  SCALES.forEach(([scale, factor]) => {
    const at = rest.indexOf(scale);
    if (at < 0) return;
    total += (at === 0 ? 1 : belowThousand(rest.slice(0, at))) * factor;
    rest = rest.slice(at + 1);
  });
  total += belowThousand(rest);
  const decimals = point >= 0 ? fraction(words.slice(point + 1)) : "";
  return decimals === "" ? String(total) : `${total}.${decimals}`;
}

/** Digits of any script as an integer without leading zeros. */
function integerOf(text: string): string | null {
  if (!/^\p{Nd}+$/u.test(text)) return null;
  const ascii = asciiDigits(text);
  return ascii.replace(/^0+(?=\d)/, "");
}

/** Decimal digits of any script as 0 to 9: Unicode keeps each script's ten in a row from a multiple of ten or sixteen. */
export function asciiDigits(text: string): string {
  return text.replaceAll(/\p{Nd}/gu, (digit) => {
    let zero = digit.codePointAt(0)!;
    while (zero > 0 && digit.codePointAt(0)! - zero < 9 && /\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--;
    return String(digit.codePointAt(0)! - zero);
  });
}
