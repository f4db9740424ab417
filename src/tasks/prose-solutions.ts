import { withFinal, type Solution } from "../core/solutions.ts";
import { markedAnswer } from "../grader/marked-answer.ts";
import { extractStrict } from "../grader/strict/extract.ts";
import { masked } from "../grader/strict/prose.ts";

/** What ends a reasoning model's thoughts; behind it comes the response's final part. */
const THOUGHT = "</think>";
const ANNOUNCED = /\banswers?\s*(?:is|are|:)|答案/i;
/** A number, a name of one letter, a command of LaTeX, a sign. */
const PIECE = String.raw`(?:\d+(?:[.,]\d+)*|(?<![a-zA-Z])[a-zA-Z](?![a-zA-Z])|\\[a-zA-Z]+|[-+*/^_=(){}|!<>≤≥√π%])`;
const FORMULAS = new RegExp(String.raw`(?:${PIECE}[ \t]*)+`, "g");

/**
 * The solutions of a response in words and formulas. Chen et al. have a language model find them; here, where answers can be
 * verified, a paragraph (a line, in a response without blank lines) ends one if it marks or announces an answer, or if its last
 * equation comes to the right one. One that says the same again without computing anything is none. Only what is before the end of
 * thinking is split.
 *
 * The final part is what follows the thoughts, or else the last paragraph with the marked answer; a solution that marks the
 * right answer itself needs none.
 *
 * @param isRight the verdict on an answer
 */
export function proseSolutions(response: string, isRight: (answer: string) => boolean): Solution[] {
  if (!isRight(markedAnswer(response))) return [];
  const thought = response.lastIndexOf(THOUGHT);
  const paragraphs = paragraphsOf(thought < 0 ? response : response.slice(0, thought));
  const marks = ({ start }: Paragraph) => isRight(markedAnswer(response.slice(start)));
  const closing = thought < 0 ? paragraphs.findLastIndex(marks) : paragraphs.length;
  const final = thought < 0 ? paragraphs[closing]!.start : thought;

  const solutions: Solution[] = [];
  let work: string[] = [];
  for (const { start, end } of paragraphs.slice(0, closing)) {
    const text = response.slice(start, end);
    const computed = equations(text);
    work.push(...computed.filter(isWorked));
    const marked = markedAnswer(text);
    const answer = marked || (ANNOUNCED.test(text) ? extractStrict(text) : "");
    const correct = isRight(answer || valueOf(computed.at(-1) ?? ""));
    if (!correct && answer === "") continue;
    if (work.length === 0 && solutions.at(-1)?.correct === correct) continue; // says again what it comes to
    const ending = thought < 0 && marked !== "" && correct ? response.length : final;
    solutions.push({ end, ending, correct, work });
    work = [];
  }
  // What a model writes after its thoughts tells them again: no new approach.
  const added = thought < 0 ? equations(response.slice(final)).filter(isWorked) : [];
  const { length } = response;
  return withFinal(solutions, { end: length, ending: length, correct: true, work: added });
}

interface Paragraph {
  start: number;
  end: number;
}

/** Paragraphs at blank lines, or else lines; a formula that is displayed over several lines is of its line. */
function paragraphsOf(text: string): Paragraph[] {
  const blankLines = Array.from(text.matchAll(/\n[ \t\r]*\n\s*/g));
  const gaps = blankLines.length > 0 ? blankLines : Array.from(masked(text).matchAll(/\n\s*/g));
  const starts = [0, ...gaps.map(({ index, 0: gap }) => index + gap.length)];
  const ends = [...gaps.map(({ index }) => index), text.length];
  return starts
    .map((start, i) => ({ start, end: start + text.slice(start, ends[i]).trimEnd().length }))
    .filter(({ start, end }) => end > start);
}

/** The equations of a text, each without white space and what only sets it: `3 \times 4 = 12` is `3*4=12`. */
function equations(text: string): string[] {
  const plain = text
    .replaceAll(/\\(?:text|mathrm|mbox)\s*\{[^{}]*\}/g, " ")
    .replaceAll(/\\[dt]frac(?![a-zA-Z])/g, "\\frac")
    .replaceAll(/\\(?:left|right|displaystyle|quad)(?![a-zA-Z])|\\[,;:! ]|\\[()[\]]|\*\*|[$&]/g, "")
    .replaceAll(/\\(?:times|cdot)(?![a-zA-Z])|[×·∗]/g, "*")
    .replaceAll(/\\div(?![a-zA-Z])|÷/g, "/")
    .replaceAll("−", "-");
  return (plain.match(FORMULAS) ?? [])
    .map((formula) => formula.replaceAll(/\s/g, ""))
    .filter((formula) => /=[^=]/.test(formula));
}

/** Whether there is more to an equation than `x=42`. */
const isWorked = (equation: string): boolean => !/^[a-zA-Z]?=-?[^-+*/^=]*$/.test(equation);

/** What an equation comes to. */
const valueOf = (equation: string): string => equation.slice(equation.lastIndexOf("=") + 1);
