import { boxedAnswer } from "./extract.ts";

/** Longest answer that is looked at. */
export const LONGEST = 2000;

/** Stands for the line break between a matrix's rows, whose backslashes mean nothing else. */
export const ROW = "\u0001";

/** The answer itself: without dollar signs, boxes, sizes, fonts, money, units and a last full stop. */
export function clean(text: string): string {
  let s = text
    .slice(0, LONGEST)
    .trim()
    .replace(/^\$+|\$+$/g, "")
    .trim();
  const box = s.lastIndexOf("\\boxed");
  if (box >= 0) s = boxedAnswer(s.slice(box + "\\boxed".length));
  // Commands whose backslash was escaped once more on the way here.
  s = s.replaceAll(/(?<!\\)\\\\(?=(?:left|right|[dt]?frac|sqrt|pi|text|infty)(?![a-zA-Z]))/g, "\\");
  s = spelledOut(s);
  s = s
    .replaceAll("\\\\", ROW)
    .replaceAll(/,\\!\s*(?=\d{3}(?!\d))/g, "")
    .replaceAll("!=", "\\neq ")
    .replace(/(=[^=]*)(?:\\approx|≈)[^=]*$/, "$1")
    .replaceAll(/\\approx|≈/g, "=")
    .replaceAll("\\textnormal", "\\text")
    .replaceAll(/\\mathrm\{([ei])\}/g, "$1");
  s = s.replaceAll(/\\[()[\]]|\\(?:left|right|displaystyle|bigl?|bigr?|Bigl?|Bigr?)(?![a-zA-Z])/g, "");
  s = s
    .replaceAll(/\\\$|\$|€|£|USD|\\;|\\quad|\\:|~/g, " ")
    .replaceAll("\\!", "")
    .replaceAll("\\%", "%")
    .replaceAll(/\\?[°]|\^\s*\{?\s*\\circ\s*\}?|\\degree/g, "");
  s = s
    .replaceAll("\\ ", " ")
    .replaceAll(/\\[dt]frac/g, "\\frac")
    .replaceAll(/\\begin\{array\}\{[^{}]*\}/g, "\\begin{pmatrix}")
    .replaceAll("\\end{array}", "\\end{pmatrix}")
    .replaceAll("bmatrix", "pmatrix");
  s = s.replaceAll(/\\frac\s*(\d)(?=\s*[\d{])/g, "\\frac{$1}").replaceAll(/(\\frac\{\d\})\s*(\d)/g, "$1{$2}");
  // 33\,840 and 7{,}000: digits in groups.
  s = s.replaceAll(/(\d)(?:\{,\}|\\,|\s)(?=\d{3}(?!\d))/g, "$1").replaceAll("\\,", " ");
  s = s
    .replaceAll(/\\(?:mathbf|boldsymbol|bf)(?![a-zA-Z])/g, "")
    .replaceAll(/\\(?:mathrm|textbf|textit|mathit|rm|mbox|textrm)(?![a-zA-Z])/g, "\\text");
  return withoutUnits(s.replaceAll(/\s+/g, " ").trim())
    .replace(/[.\s]+$/, "")
    .replace(/^[a-zA-Z]\s*\\in(?![a-zA-Z])\s*/, "");
}

/** Rarer spellings as common ones: environments, repeating decimals, degrees within functions, empty sets and the like. */
function spelledOut(text: string): string {
  let s = text
    .replaceAll("\\cfrac", "\\frac")
    .replaceAll(/\{\s*([^{}]{1,40}?)\s*\\over\s+([^{}]{1,40}?)\s*\}/g, "\\frac{$1}{$2}")
    .replaceAll("**", "^")
    .replaceAll(/(?<![a-zA-Z\\])(?:oo|infinity)(?![a-zA-Z])/g, "\\infty")
    .replaceAll(/(?<=[)\]])\s*U\s*(?=[([])/g, "\\cup ")
    .replaceAll(/(?<=\d)\s*(?:\\text\s*\{\s*to\s*\}|\bto\b)\s*(?=\d)/g, ":")
    .replace(/^\s*(?:\\text\s*\{\s*)?all real numbers\s*\}?\s*$/, "\\mathbb{R}")
    .replaceAll(/\\(?:begin|end)\{(?:equation|align|aligned|gather)\*?\}/g, " ")
    .replaceAll(/\\n(?:gtr|leq?|geq?|less)(?![a-zA-Z])/g, (negated) => OPPOSITE[negated]!)
    .replaceAll(/\\langle(?![a-zA-Z])/g, "(")
    .replaceAll(/\\rangle(?![a-zA-Z])/g, ")")
    .replaceAll(/\\(?:varnothing|emptyset)(?![a-zA-Z])|∅|\\\{\s*\\\}/g, "\\emptyset ")
    .replaceAll(/\{\s*(\w{1,20})\s*\\choose\s*(\w{1,20})\s*\}/g, "\\binom{$1}{$2}")
    .replaceAll(
      /(\\(?:sin|cos|tan|cot|sec|csc))\s*\(?\s*([\d.]{1,20})\s*\^\s*\{?\s*\\circ\s*\}?\s*\)?/g,
      "$1(\\frac{$2\\pi}{180})",
    )
    .replaceAll(
      /(?<![\d.])(\d{0,30})\.(\d{0,30})\\overline\s*\{(\d{1,30})\}/g,
      (_, whole: string, fixed: string, period: string) => repeating(whole, fixed, period),
    )
    .replace(/^([-+]?\d{1,9})\s+(\d{1,9})\s*\/\s*(\d{1,9})$/, "$1\\frac{$2}{$3}");
  if (!s.includes("matrix") && !s.includes("array")) s = s.replaceAll("&", "");
  return /^\(\s*-\s*\\infty\s*,\s*\+?\s*\\infty\s*\)$/.test(s.trim()) ? "\\mathbb{R}" : s;
}

const OPPOSITE: Readonly<Record<string, string>> = {
  "\\ngtr": "\\le ",
  "\\nless": "\\ge ",
  "\\nle": "> ",
  "\\nleq": "> ",
  "\\nge": "< ",
  "\\ngeq": "< ",
};

/** whole.fixed with a repeating period as the fraction that it is. */
function repeating(whole: string, fixed: string, period: string): string {
  const all = BigInt(`0${whole}${fixed}${period}`) - BigInt(`0${whole}${fixed}`);
  return `\\frac{${all}}{${"9".repeat(period.length)}${"0".repeat(fixed.length)}}`;
}

/** \text{...} after a number is a unit and goes; alone it is the answer; between answers it is "and" or "or". */
function withoutUnits(text: string): string {
  let s = text.replaceAll(/\\text\s*\{\s*(?:,\s*)?(?:and|or)\s*\}/g, ", ");
  const inner = /^\\text\s*\{([^{}]*)\}$/.exec(s);
  if (inner) return inner[1]!.trim();
  s = s.replaceAll(/(?<=[\d})]|\\pi)\s*\\text\s*\{([^{}]*)\}(?:\s*\^\s*\{?\d\}?)?/g, (whole, unit: string) =>
    /^\s*(percent|pct)/i.test(unit) ? "%" : /[=<>]/.test(unit) ? whole : "",
  );
  s = s.replaceAll(/\\text\s*\{([^{}]*)\}|\\text\s+/g, " $1 ");
  s = s.replace(/(\d)\s*(?:percent|pct)$/i, "$1%");
  s = s.replace(
    /^([-+]?\d[\d.,]*)\s*(?:(?:[cdkm]m|ft|in|kg|mg|lb|mi|yd|mph|m(?=\^|²|³))(?:\s*\^\s*\{?[23]\}?|²|³)?)$/,
    "$1",
  );
  // Words of two letters and more behind a plain number.
  return s.replace(/^([-+]?[\d.,]+)\s+[a-zA-Z]{2,}(?:\s+[a-zA-Z]{2,})*(?:\s*\^\s*\{?\d\}?)?\.?$/, "$1").trim();
}
