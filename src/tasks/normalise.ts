import { latexOf } from "../grader/unicode.ts";

/** Commands that change how LaTeX looks and not what it says. */
const COSMETIC = /\\(?:left|right|displaystyle|limits|qquad|quad|[,;:! ()[\]\\])/g;
const FONT = /\\(?:text|textbf|textit|mathrm|mathbf|operatorname)\s*\{([^{}]*)\}/g;
const DRAWING = /\[asy\][\s\S]*?(?:\[\/asy\]|$)/g;

/** A problem's text without its drawing. */
export const withoutDrawing = (text: string): string => text.replaceAll(DRAWING, " ");

/**
 * What two copies of a problem have in common: the text without capitals that begin words, LaTeX that only changes the looks, dollar
 * signs, quotation marks, ends of sentences, and spaces but between numbers. Every sign that may carry a meaning stays: brackets,
 * primes, decimal points and commas, percent signs, factorials, raised digits, N beside n. "" for a text without letters and digits.
 */
export function normaliseText(text: string): string {
  const normal = latexOf(text.replaceAll(/[\u2018\u2019\u2032]/g, "'"))
    .normalize("NFKC")
    .replaceAll(/[\u2010-\u2015\u2212]/g, "-")
    .replaceAll(/\\[dt]frac/g, "\\frac")
    .replaceAll(COSMETIC, "")
    .replaceAll(FONT, "$1")
    .replaceAll(/(?<![\p{L}\\])\p{Lu}(?=\p{Ll})/gu, (letter) => letter.toLowerCase())
    .replaceAll(/["\u201c\u201d$]/g, "")
    .replaceAll("\\%", "%")
    .replaceAll(/[.:](?!\s*\d)|\.(?=\s)|[?;]|(?<=\p{L}{2}),(?=\s)/gu, " ")
    .replaceAll(/\{\s*(\w|\\[a-z]+)\s*\}/g, "$1")
    .replaceAll(/(?<=\p{N})\s+(?=\p{N})/gu, "\0")
    .replaceAll(/\s+/g, "")
    .replaceAll("\0", " ");
  return /[\p{L}\p{N}]/u.test(normal) ? normal : "";
}

/** The same without drawings, which one copy may have and the other lack: what no training row may share with a held-out one. */
export const normaliseProblem = (text: string): string => normaliseText(withoutDrawing(text));
