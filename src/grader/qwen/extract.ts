import { choiceInResponse } from "./choice.ts";
import { LONGEST_ANSWER, normalise } from "./normalise.ts";
import { strip } from "./python-text.ts";

/** Data sets whose answers are letters. */
const CHOICES = ["mmlu_stem", "sat_math", "aqua", "gaokao2023"];
/** Data sets whose answers keep their units. */
const WITH_UNITS = ["carp_en", "minerva_math"];

/**
 * The answer of a response in the paper's checker (Qwen2.5-Math, extract_answer), normalised; "" if there is none. The first of
 * these that applies: the data set's choice; "final answer is $...$. I hope"; the last box; what follows "he answer is",
 * "final answer is" or its Chinese; the last number.
 */
export function extractAnswer(response: string, dataset = "math"): string {
  const text = response.replaceAll("ки", "");
  if (CHOICES.includes(dataset)) return choiceInResponse(text);
  const found = rawAnswer(text);
  if (found === "") return "";
  if (found.length > LONGEST_ANSWER) return strip(found);
  let answer = found.replaceAll(/\n\s*/g, "");
  if (answer.startsWith(":")) answer = answer.slice(1);
  if (answer.endsWith(".")) answer = answer.slice(0, -1);
  if (answer.endsWith("/")) answer = answer.slice(0, -1);
  return normalise(answer, { keepUnits: WITH_UNITS.includes(dataset) });
}

/** What makes a gold text a whole solution, from which the answer is taken: a mark of it, or more words than an answer has. */
const MARKS = /boxed|####|he answer is|final answer is|答案是|\n/;
const MOST_WORDS = 3;

/** The gold answer, normalised: of a solution its answer, by the rules for responses; of an answer as it stands itself. */
export function goldAnswer(gold: string, dataset = "math"): string {
  const words = gold.replaceAll(/\\(?:text|mathrm|mbox)\s*\{[^{}]*\}|\\[a-zA-Z]+/g, " ").match(/[a-zA-Z]{3,}/g) ?? [];
  return CHOICES.includes(dataset) || MARKS.test(gold) || words.length > MOST_WORDS
    ? extractAnswer(gold, dataset)
    : normalise(gold, { keepUnits: WITH_UNITS.includes(dataset) });
}

const after = (text: string, trigger: string): string => text.slice(text.lastIndexOf(trigger) + trigger.length);

function rawAnswer(text: string): string {
  const minerva = "final answer is $";
  if (text.includes(minerva) && text.includes("$. I hope"))
    return strip(text.slice(text.indexOf(minerva) + minerva.length).split("$. I hope")[0]!);
  if (text.includes("boxed")) return boxedAnswer(after(text, "boxed"));
  if (text.includes("he answer is")) return strip(after(text, "he answer is"));
  if (text.includes("final answer is")) return strip(after(text, "final answer is"));
  const chinese = "答案是";
  if (text.includes(chinese)) return strip(strip(text.split(chinese)[1]!).split("\n\n")[0]!);
  return lastNumber(text);
}

/** What follows "boxed": up to the brace that closes its own, to the end of the text if none does; without a brace, up to a $. */
function boxedAnswer(rest: string): string {
  if (!rest.startsWith("{")) return strip(rest.split("$")[0]!);
  let depth = 1;
  for (let i = 1; i < rest.length; i++) {
    if (rest[i] === "{") depth++;
    else if (rest[i] === "}" && --depth === 0) return rest.slice(1, i);
  }
  return rest.slice(1);
}

/** The last match of -?\d*\.?\d+ in the text without commas, found from the left as regular expressions find them. */
function lastNumber(text: string): string {
  let last = "";
  for (const [match] of text.replaceAll(",", "").matchAll(/-?\p{Nd}*\.?\p{Nd}+/gu)) last = match;
  return last;
}
