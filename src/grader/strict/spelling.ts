import { latexOf } from "../unicode.ts";

/** Longest answer that is looked at. */
export const LONGEST = 2000;

/** How dollars are marked for the reader; a plain dollar sign is where a formula begins or ends. */
const MONEY = " $ ";

const BOX = /\\f?boxed\s*\{|\\fbox\s*\{/g;

/** What the last box of an answer holds, or the answer. */
function unboxed(text: string): string {
  const last = Array.from(text.matchAll(BOX)).at(-1);
  if (!last) return text;
  let depth = 1;
  const start = last.index + last[0].length;
  for (let i = start; i < text.length; i++) {
    if (text[i] === "{") depth++;
    else if (text[i] === "}" && --depth === 0) return text.slice(start, i);
  }
  return text.slice(start);
}

const THOUSANDS = /^[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?$/;
/** Whether commas stand between groups of three digits. */
export const isGrouped = (digits: string): boolean => THOUSANDS.test(digits);

/** Phrases that stand for a set, or before an answer without being part of it. */
const EMPTY =
  /^(?:there (?:is|are) )?(?:no (?:real )?(?:solutions?|roots?|values?)(?: exists?)?|(?:the )?(?:empty|null) set)$/i;
const REALS =
  /^(?:x\s*(?:\\in|is in)?\s*)?(?:(?:the set of )?all (?:the )?real(?: number)?s|the reals|any real number)$/i;
const EXCEPT =
  /^(?:\\text\s*\{\s*)?all (?:real numbers|reals)(?: x)?,? (?:except|but|other than)(?: for)?\s*\}?\s*(?:[a-z]\s*=\s*)?([^a-zA-Z]{1,60})$/i;
const LABEL =
  /^(?:so |thus |therefore,? |hence |then )?(?:the )?(?:(?:final |correct )?answer(?: is)?|result is|solution is|ans)\s*[:=]?\s+(?=\S)|^(?:final )?answer\s*:\s*/i;
const ROUGHLY = /^(?:about|approximately|approx\.?|roughly|around|exactly|\\approx)(?![a-zA-Z])\s*/i;

/** An answer without what is not part of it: dollar signs, boxes, marks of emphasis, labels, and a last full stop. */
export function tidy(answer: string): string {
  let s = latexOf(unboxed(answer.slice(0, LONGEST)));
  // Commands whose backslash was escaped once more on the way here.
  s = s.replaceAll(
    /(?<!\\)\\\\(?=(?:left|right|[dt]?frac|sqrt|pi|text|infty|cdot|times|pm|le|ge|cup)(?![a-zA-Z]))/g,
    "\\",
  );
  s = s
    .replaceAll(/\\(?:begin|end)\s*\{(?:equation|align|aligned|gather|gathered|split|displaymath|math)\*?\}/g, " ")
    .replaceAll(/(\\\$)|\$|(?<!\\)\\[()[\]]/g, (_, money?: string) => (money ? MONEY : " "))
    .replaceAll(/US ?\$|USD(?![a-zA-Z])/g, MONEY);
  s = s.replace(/^(?:\s|\*\*|__|`)+/, "").replace(/(?:\s|\*\*|__|`|(?<!\\)[,;]|(?<!\\|\.\.)\.)+$/, "");
  s = s.replace(/\\+$/, "").trimEnd();
  s = s.replace(/^\\(?:mathbf|boldsymbol|bm)\s*\{([^{}]*)\}$/, "$1");
  s = s.replaceAll(/\\?\(\s*(?:approx(?:imately|\.)?|exact(?:ly)?|rounded)\s*\)/gi, " ").trim();
  for (let i = 0; i < 2; i++) s = s.replace(LABEL, "").replace(ROUGHLY, "");
  s = numerals(spelled(s)).trim();
  s = s.replace(EXCEPT, "\\mathbb{R}\\setminus\\{$1\\}");
  const plain = s
    .replaceAll(/\\text\s*\{([^{}]*)\}/g, "$1")
    .replaceAll(/\s+/g, " ")
    .trim();
  if (EMPTY.test(plain)) return "\\emptyset";
  return REALS.test(plain) ? "\\mathbb{R}" : s;
}

/** Older and plainer spellings as the reader has them. */
const spelled = (text: string): string =>
  text
    .replaceAll(/\{\s*([^{}]{1,40}?)\s*\\over\s+([^{}]{1,40}?)\s*\}/g, "\\frac{$1}{$2}")
    .replaceAll(/\{\s*(\w{1,20})\s*\\choose\s*(\w{1,20})\s*\}/g, "\\binom{$1}{$2}")
    .replaceAll("**", "^")
    .replaceAll(/\\(?:text)?color\s*\{[^{}]*\}|\\[hv]?phantom\s*(?:\{[^{}]*\}|\S)/g, " ")
    .replaceAll(/\\q?quad/g, " ")
    .replaceAll(/(?<=[\d)}])(?:or|and)(?=[A-Z(\d\\-])/g, " $& ")
    .replaceAll(/(?<=[)\]])\s*U\s*(?=[([])/g, "\\cup ")
    .replaceAll(/\\not\s*(?:=|\\eq(?![a-zA-Z]))/g, "\\ne ")
    .replaceAll(/\\not\s*\\in(?![a-zA-Z])/g, "\\notin ")
    .replaceAll(/\^\s*\{\s*\\(?:circ|degree)\s*\}|\^\s*\\(?:circ|degree)(?![a-zA-Z])/g, "°")
    .replaceAll(/\bp\s*\.\s*m\b\.?/gi, " pm ")
    .replaceAll(/\ba\s*\.\s*m\b\.?/gi, " am ");

/** Digits in groups as one number, a decimal comma in braces as a point, repeating decimals as the fraction that they are. */
const numerals = (text: string): string =>
  text
    .replaceAll(/,\\!\s*/g, "{,}")
    .replaceAll(/(?<![\d.])\d+(?:\{,\}\d+)+(?:\.\d+)?/g, (digits) => {
      const plain = digits.replaceAll("{,}", ",");
      if (isGrouped(plain)) return plain.replaceAll(",", "");
      return /^\d+,\d+$/.test(plain) ? plain.replace(",", ".") : plain;
    })
    .replaceAll(/(?<![\d.,^_{])[1-9]\d{0,2}(?:(?:\\[,;: ]|~| )\d{3})+(?![\d/])/g, (digits) =>
      digits.replaceAll(/\D/g, ""),
    )
    .replaceAll(
      /(?<![\d.])(\d{0,30})\.(\d{0,30})\\(?:overline|bar|dot)\s*(?:\{(\d{1,30})\}|(\d))/g,
      (_, whole: string, fixed: string, period: string | undefined, digit: string) =>
        repeating(whole, fixed, period ?? digit),
    )
    .replaceAll(/(?<![\d.])(\d{0,30})\.(\d{1,40})(?:\.{3}|\\[lc]?dots(?![a-z]))/g, (_, whole: string, digits: string) =>
      continued(whole, digits),
    )
    .replaceAll("...", "\\ldots ")
    .replaceAll(/(?<![\d.\\a-zA-Z}^_])(\d{1,9})\s+(\d{1,9})\s*\/\s*(\d{1,9})(?![\d.])/g, "$1\\frac{$2}{$3}");

/** A decimal that goes on: by its last digits where they are repeated, 0.1666..., as it stands otherwise. */
function continued(whole: string, digits: string): string {
  const [, fixed, period] = /^(\d*?)(\d{1,12}?)\2+$/.exec(digits) ?? [];
  const repeated = period !== undefined && digits.length - fixed!.length >= Math.max(3, 2 * period.length);
  return repeated ? repeating(whole, fixed!, period) : `${whole || "0"}.${digits}`;
}

/** whole.fixed with a repeating period as the fraction that it is. */
function repeating(whole: string, fixed: string, period: string): string {
  const all = BigInt(`0${whole}${fixed}${period}`) - BigInt(`0${whole}${fixed}`);
  return `{\\frac{${all}}{${"9".repeat(period.length)}${"0".repeat(fixed.length)}}}`;
}
