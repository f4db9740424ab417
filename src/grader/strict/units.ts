import type { Token } from "./tokens.ts";

/** A unit and how many of the first unit of its line it is, as a fraction's two parts. */
interface Unit {
  base: string;
  over: number;
  under: number;
}

/** Units by what they measure: name, its other spellings, and how many of the line's first one it is. */
const LINES = [
  "m meter metre, 1/1; km kilometer kilometre, 1000/1; cm centimeter centimetre, 1/100; mm millimeter millimetre, 1/1000; dm decimeter decimetre, 1/10",
  "in inch inches, 1/1; ft foot feet, 12/1; yd yard, 36/1; mi mile, 63360/1",
  "s sec second, 1/1; min minute, 60/1; h hr hour, 3600/1; day, 86400/1; week wk, 604800/1",
  "month mo, 1/1; year yr, 12/1; decade, 120/1; century centuries, 1200/1",
  "g gram gramme, 1/1; kg kilogram kilo, 1000/1; mg milligram, 1/1000; tonne, 1000000/1",
  "lb pound lbs £, 16/1; oz ounce, 1/1; ton, 32000/1",
  "l L liter litre, 1/1; ml mL milliliter millilitre, 1/1000; cl centiliter, 1/100",
  "cent ¢, 1/100; dollar $ buck usd, 1/1",
  "euro € eur, 1/1",
  "yen ¥, 1/1",
  "rupee ₹ rs inr, 1/1",
  "cup, 8/1; pint, 16/1; quart, 32/1; gallon gal, 128/1",
  "degree ° deg, 1/1",
];
const UNITS = new Map<string, Unit>();
for (const line of LINES) {
  const units = line.split("; ").map((text) => {
    const [names, size] = text.split(", ") as [string, string];
    const [over, under] = size.split("/").map(Number) as [number, number];
    return { names: names.split(" "), over, under };
  });
  const base = units.map(({ names }) => names[0]!).join("|");
  for (const { names, over, under } of units)
    for (const name of names) for (const form of [name, `${name}s`]) UNITS.set(form, { base, over, under });
}
/** Names of one letter are units only where a unit's power or quotient follows, or in text. */
const LETTERS = new Set("m s g h L l N J W V A K".split(" "));

/** Words that say nothing of what is counted. */
const FILLERS = new Set("of the a an total altogether each about approximately approx exactly only about".split(" "));
/** Words behind a number that make another statement of it. */
const CHANGES = new Set(
  (
    "more less fewer greater least most above below under over not no never except than or and nor to through but if when unless " +
    "half third quarter dozen hundred thousand million billion trillion squared cubed plus minus negative base modulo mod " +
    "remainder infinity all none ones tens tenths hundredths thousandths tenth hundredth thousandth"
  ).split(" "),
);

/** Units that are written as one word and are several. */
const TOGETHER: Readonly<Record<string, readonly string[]>> = {
  mph: ["mi", "/", "h"],
  kph: ["km", "/", "h"],
  kmh: ["km", "/", "h"],
};
const SCALES: Readonly<Record<string, string>> = { C: "celsius", F: "fahrenheit" };

/** What stands behind a number: words, and how often each counts: cm^2 is cm twice, km/h hours minus once. */
export interface Measure {
  /** Sorted, in their canonical names; "" where none of the words says what is counted. */
  text: string;
  /** The number is multiplied by it to be in the first unit of its kind. */
  over: number;
  under: number;
  /** Whether all of its words are in the list of units. */
  known: boolean;
}

/** Whether tokens up to the end of a text are units of letters alone, such as m/s^2. */
export function lettersMeasure(rest: readonly Token[]): boolean {
  if (rest.length < 3 || rest.length > 9 || !rest[0]!.spaced) return false;
  const text = rest.map((token) => token.text).join("");
  const names = text.split(/[\^/{}*\d-]+/).filter((name) => name !== "");
  return (
    /^[a-zA-Z]+(?:\^\{?-?[23]\}?)?(?:[/*][a-zA-Z]+(?:\^\{?-?[23]\}?)?)*$/.test(text) &&
    names.every((name) => LETTERS.has(name) || UNITS.has(name))
  );
}

/** The measure that tokens spell, null where a word among them changes what the number before them says. */
export function measureOf(written: readonly Token[]): Measure | null {
  const tokens = written.flatMap((token): readonly Token[] => {
    const words = TOGETHER[token.text.toLowerCase()];
    return words ? words.map((text) => ({ kind: text === "/" ? "mark" : "word", text, spaced: true })) : [token];
  });
  const counts = new Map<string, number>();
  let [over, under, sign, next] = [1, 1, 1, 1];
  let last: string | null = null;
  let known = true;
  const count = (name: string, times: number) => {
    const unit = UNITS.get(name);
    known &&= unit !== undefined;
    const key = unit?.base ?? name;
    counts.set(key, (counts.get(key) ?? 0) + times);
    if (!unit) return;
    for (let i = 0; i < Math.abs(times); i++) {
      over *= times > 0 ? unit.over : unit.under;
      under *= times > 0 ? unit.under : unit.over;
    }
  };
  for (let i = 0; i < tokens.length; i++) {
    const { kind, text } = tokens[i]!;
    const word = text.toLowerCase();
    if (text === "^") {
      const power = powerAt(tokens, i + 1);
      if (power === null || last === null) return null;
      count(last, sign * (power.value - 1));
      i = power.end;
    } else if (text === "/" || word === "per") sign = -1;
    else if (text === "." || text === "*" || text === "-") continue;
    else if (word === "square" || word === "sq") next = 2;
    else if (word === "cubic" || word === "cu") next = 3;
    else if (kind === "word" || kind === "letter" || UNITS.has(text)) {
      if (CHANGES.has(word)) return null;
      if (FILLERS.has(word)) continue;
      const name = text.length > 1 ? canonical(word) : (SCALES[text] ?? text);
      count(name, sign * next);
      [last, next] = [name === "°" ? "degree" : name, 1];
    } else return null;
    if (Math.max(over, under) > 1e15) return null;
  }
  if (counts.size === 0) return { text: "", over: 1, under: 1, known: false };
  if (counts.has("celsius") || counts.has("fahrenheit")) counts.delete(UNITS.get("degree")!.base);
  const names = [...counts].filter(([, times]) => times !== 0).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    text: names.map(([name, times]) => `${name}^${times}`).join(" "),
    over,
    under,
    known,
  };
}

/** The measure that a letter is, as m behind a number: null for one that is none. */
export const letterMeasure = (letter: string): Measure | null =>
  LETTERS.has(letter) ? measureOf([{ kind: "letter", text: letter, spaced: true }]) : null;

/** The power, of 3 at most, that stands at a token, in braces or not, and its last token. */
function powerAt(tokens: readonly Token[], start: number): { value: number; end: number } | null {
  let at = start;
  const take = (text: string) => tokens[at]?.text === text && at++ >= 0;
  const braced = take("{");
  const sign = take("-") ? -1 : 1;
  const value = Number(tokens[at]?.text);
  if (![1, 2, 3].includes(value) || (braced && tokens[++at]?.text !== "}")) return null;
  return { value: sign * value, end: at };
}

const canonical = (word: string): string =>
  UNITS.has(word) || word.length < 4 || word.endsWith("ss") ? word : word.replace(/ies$/, "y").replace(/s$/, "");
