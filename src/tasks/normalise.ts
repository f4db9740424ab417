/** Commands that change how LaTeX looks and not what it says. */
const COSMETIC =
  /\\(?:left|right|displaystyle|limits|qquad|quad|[,;:! ()[\]\\])|\\(?:text|textbf|textit|mathrm|mathbf|operatorname)\b/g;
const DRAWING = /\[asy\][\s\S]*?(?:\[\/asy\]|$)/g;

/** A problem's text without its drawing. */
export const withoutDrawing = (text: string): string => text.replaceAll(DRAWING, " ");

/**
 * What two copies of a problem have in common: letters, digits and operators in lower case, without spaces, punctuation and
 * LaTeX that only changes the looks. "" for a text that has none of them.
 */
export const normaliseText = (text: string): string =>
  text
    .normalize("NFKC")
    .replaceAll(/\\[dt]frac/g, "\\frac")
    .replaceAll(COSMETIC, "")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}+\-*/=<>^_|!\\]/gu, "");

/** The same without drawings, which one copy may have and the other lack: what no training row may share with a held-out one. */
export const normaliseProblem = (text: string): string => normaliseText(withoutDrawing(text));
