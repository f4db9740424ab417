import type { Row } from "../tasks/rows.ts";
import { withoutDrawing } from "../tasks/normalise.ts";

const PROOF = /\b(?:prove|disprove|show) that\b|\bprove\s*:/i;
/** Asks for something besides the proof. */
const QUESTION =
  /\?|\b(?:find|determine|compute|calculate|evaluate|solve|simplify|express|what|which|how (?:many|much))\b/i;
const CHOICE = /^(?:\\(?:text|textbf|mathrm|mathbf)\{)?[({[]*[A-E][)}\].]*$/;
const LETTERS = ["A", "B", "C", "D"];

/** Whether a problem asks for a proof and for nothing that has an answer, or is marked so (NuminaMath 1.5). */
export function isProof({ prompt, answer, row }: { prompt: string; answer: string; row: Row }): boolean {
  if (row["question_type"] === "proof" || answer === "proof") return true;
  const text = withoutDrawing(prompt);
  return PROOF.test(text) && !QUESTION.test(text);
}

/** Whether a problem offers options to choose from: it lists A to D in order, its answer is a letter, or it is marked so. */
export function isMultipleChoice({ prompt, answer, row }: { prompt: string; answer: string; row: Row }): boolean {
  return row["question_type"] === "MCQ" || CHOICE.test(answer) || listsOptions(withoutDrawing(prompt));
}

/** (A), A), A. or A: for each letter in order, where a word could begin. */
function listsOptions(text: string): boolean {
  let from = 0;
  return LETTERS.every((letter) => {
    const mark = new RegExp(String.raw`(?:(?<![\w^])|\\q?quad)\(${letter}\s?\)|(?:^|[\s{$~])${letter}\s?[).:．]`, "g");
    mark.lastIndex = from;
    if (!mark.test(text)) return false;
    from = mark.lastIndex;
    return true;
  });
}
