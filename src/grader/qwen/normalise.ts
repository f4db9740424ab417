import { wordsToNumber } from "./word-numbers.ts";
import { strip } from "./python-text.ts";
import { removeUnits } from "./units.ts";

/** A longer text is no answer, and is equal to itself alone: what follows takes time by the square of the length. */
export const LONGEST_ANSWER = 2000;

/**
 * The normal form of an answer in the paper's checker (Qwen2.5-Math, strip_string), step by step and with its quirks:
 * docs/grader.md names those that decide verdicts.
 */
export function normalise(answer: string, { keepUnits = false }: { keepUnits?: boolean } = {}): string {
  if (answer.length > LONGEST_ANSWER) return strip(answer);
  let s = strip(answer).replaceAll("\n", "").replace(/\.+$/, "").replaceAll("\\!", "");
  s = s.replaceAll(/\\begin\{array\}\{[^\n]*?\}/g, "\\begin{pmatrix}").replaceAll("\\end{array}", "\\end{pmatrix}");
  s = s.replaceAll("bmatrix", "pmatrix").replaceAll("tfrac", "frac").replaceAll("dfrac", "frac");
  s = s.replaceAll("\\neq", "\\ne").replaceAll("\\leq", "\\le").replaceAll("\\geq", "\\ge");
  s = s.replaceAll("\\left", "").replaceAll("\\right", "").replaceAll("\\{", "{").replaceAll("\\}", "}");
  s = withoutFinalText(s);
  if (!keepUnits) s = removeUnits(s);
  s = s.replaceAll("^{\\circ}", "").replaceAll("^\\circ", "");
  s = s.replaceAll("\\$", "").replaceAll("$", "").replaceAll("\\(", "").replaceAll("\\)", "");
  s = wordsToNumber(s) ?? s;

  s = s.replaceAll(/\\text\{(.*?)\}/g, "$1");
  for (const prefix of ["x=", "y=", "z=", "x\\in", "y\\in", "z\\in", "x\\to", "y\\to", "z\\to"])
    s = s.replaceAll(prefix, "");
  s = s.replaceAll("\\emptyset", "{}").replaceAll("(-\\infty,\\infty)", "\\mathbb{R}");
  s = s.replaceAll("\\%", "").replaceAll("%", "").replaceAll(" .", " 0.").replaceAll("{.", "{0.");
  s = s.replaceAll("infinity", "\\infty");
  if (!s.includes("\\infty")) s = s.replaceAll("inf", "\\infty");
  s = s
    .replaceAll("+\\inity", "\\infty")
    .replaceAll("and", "")
    .replaceAll("\\mathbf", "")
    .replaceAll(/\\mbox\{.*?\}/g, "");
  if (s.includes("j") && !s.includes("i")) s = s.replaceAll("j", "i");
  s = s.replaceAll(/(\p{Nd}+)\.0*(\P{Nd})/gu, "$1$2").replace(/(\p{Nd}+)\.0*$/u, "$1");
  if (s === "") return s;
  if (s.startsWith(".")) s = `0${s}`;
  const sides = s.split("=");
  if (sides.length === 2 && Array.from(sides[0]!).length <= 2) s = sides[1]!;
  s = s.replaceAll(/\\sqrt([\p{L}\p{N}_]+)/gu, "\\sqrt{$1}").replaceAll(" ", "");
  return slashToFraction(braceFractions(s));
}

/** Drops everything from the first \text{ on if the text ends with a brace, and something remains. */
function withoutFinalText(s: string): string {
  const at = s.indexOf("\\text{");
  if (at < 0 || !s.endsWith("}")) return s;
  const without = strip(s.slice(0, at));
  return without === "" ? s : without;
}

/** \frac12 and \frac1{72} as \frac{1}{2} and \frac{1}{72}. */
function braceFractions(s: string): string {
  const [before, ...parts] = s.split("\\frac");
  let result = before!;
  for (const part of parts) {
    const characters = Array.from(part);
    if (characters[0] === "{") {
      result += `\\frac${part}`;
      continue;
    }
    // Upstream gives the whole text up at a numerator with nothing behind it.
    if (characters.length < 2) return s;
    const [a, b, ...rest] = characters as [string, string, ...string[]];
    result += b === "{" ? `\\frac{${a}}${b}${rest.join("")}` : `\\frac{${a}}{${b}}${rest.join("")}`;
  }
  return result;
}

/** a/b as \frac{a}{b} where both are integers in their usual spelling, or hold a root. */
function slashToFraction(s: string): string {
  const parts = s.split("/");
  if (parts.length !== 2) return s;
  const plain = (part: string) => part.includes("sqrt") || (/^-?\d+$/.test(part) && /^(0|-?[1-9]\d*)$/.test(part));
  return parts.every(plain) ? `\\frac{${parts[0]}}{${parts[1]}}` : s;
}
