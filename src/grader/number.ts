import { latexOf } from "./unicode.ts";

const DECIMAL = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?`;
const NUMBER = new RegExp(`^${DECIMAL}$`);
const FRACTION = new RegExp(String.raw`^([+-]?)\\[dt]?frac\{?(\d+)\}?\{?(\d+)\}?$`);
const QUOTIENT = new RegExp(`^(${DECIMAL})/(${DECIMAL})$`);

/** Longer texts are no numbers that anyone means. */
const LONGEST = 200;

/**
 * The number that a short answer states, null if it states none: `1,234`, `033`, `104.`, `$5`, `3/4`, `\frac{3}{4}`, `50\%`
 * (as 50: an answer in percent is asked for in percent), `x = 5`.
 */
export function parseNumber(answer: string): number | null {
  if (answer.length > LONGEST || /\d\s*,\s+\d/.test(answer)) return null; // 1, 234 are two
  let text = latexOf(answer)
    .replaceAll(/\\(?:left|right|!|,|;| )/g, "")
    .replaceAll(/\\text\{[^{}]*\}|\\mathrm\{[^{}]*\}|\^\\circ|\^\{\\circ\}/g, "")
    .replaceAll(/\\?[$%]|\s/g, "")
    .replace(/^[a-zA-Z]=/, "")
    .replace(/\.$/, "");
  if (/^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$/.test(text)) text = text.replaceAll(",", "");
  if (NUMBER.test(text)) return finite(Number(text));
  const fraction = FRACTION.exec(text);
  if (fraction) return finite((Number(fraction[2]) / Number(fraction[3])) * (fraction[1] === "-" ? -1 : 1));
  const quotient = QUOTIENT.exec(text);
  return quotient ? finite(Number(quotient[1]) / Number(quotient[2])) : null;
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
