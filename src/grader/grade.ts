import { extractAnswer, goldAnswer } from "./qwen/extract.ts";
import { markedAnswer } from "./marked-answer.ts";
import { normalise } from "./qwen/normalise.ts";
import { qwenEqual } from "./qwen/equal.ts";
import { extractStrict } from "./strict/extract.ts";
import { strictEqual } from "./strict/equal.ts";

/** `qwen2.5-math` is the checker that the paper used, quirks included; `strict` asks for mathematical equality. */
export const GRADERS = ["strict", "qwen2.5-math"] as const;
export type Grader = (typeof GRADERS)[number];

export interface Grade {
  verdict: boolean;
  /** The answer found in the response, "" if none. */
  extracted: string;
  gold: string;
  /** Why the verdict is what it is. */
  reason: string;
}

/** What a task says of a response. */
export interface Verdict extends Omit<Grade, "verdict"> {
  correct: boolean;
}

export interface GradeOptions {
  grader?: Grader;
  /** Chooses the extraction rules of `qwen2.5-math`: "math" (default), "gsm8k", "mmlu_stem", "minerva_math" and so on. */
  dataset?: string;
}

/** Whether two answers are equal as they stand. Never throws. */
export function compareAnswers(
  pred: string,
  ref: string,
  grader: Grader = "strict",
): { verdict: boolean; reason: string } {
  const equal = grader === "strict" ? strictEqual(pred, ref) : qwenEqual(pred, ref);
  return equal === null
    ? { verdict: false, reason: pred.trim() === "" ? "no answer found" : "different" }
    : { verdict: true, reason: equal };
}

/**
 * Whether a response's final answer is the gold one. `gold` may be a whole solution, from which the answer is taken by the
 * same rules; where they find nothing in it, it is the answer itself. Never throws.
 */
export function grade(
  response: string,
  gold: string,
  { grader = "strict", dataset = "math" }: GradeOptions = {},
): Grade {
  const extracted = grader === "strict" ? extractStrict(response) : extractAnswer(response, dataset);
  const wanted = grader === "strict" ? strictGold(gold) : goldAnswer(gold, dataset);
  return { extracted, gold: wanted, ...compareAnswers(extracted, wanted, grader) };
}

/**
 * The same for training: the response must mark its answer, in a box or after "####". A number that merely comes last earns
 * nothing, as in the paper's training, where the prompt's own empty box is found first.
 */
export function gradeMarked(response: string, gold: string, grader: Grader = "strict"): Verdict {
  const marked = markedAnswer(response);
  const normal = (text: string) => (grader === "strict" ? text : normalise(text));
  const extracted = normal(marked);
  if (extracted === "") return { correct: false, extracted, gold, reason: "no answer found" };
  const { verdict, reason } = compareAnswers(extracted, normal(gold), grader);
  return { correct: verdict, extracted, gold, reason };
}

/** A short gold is the answer itself; a solution holds it. */
const strictGold = (gold: string): string => (/\\boxed|####|answer|\$/.test(gold) ? extractStrict(gold) || gold : gold);
