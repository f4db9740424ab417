import { extractAnswer } from "./extract.ts";
import { parseNumber } from "./number.ts";

export interface Verdict {
  correct: boolean;
  /** The answer found in the response, "" if none. */
  extracted: string;
  gold: string;
  /** Why the verdict is what it is. */
  reason: string;
}

/** Numbers that differ by less than this, relative to the gold, are equal: room for a rounded decimal. */
const RELATIVE_TOLERANCE = 1e-6;

/**
 * Whether the response's final answer is the gold one: equal as numbers where both are numbers, otherwise as text without
 * spaces. Never throws; an empty answer is never right.
 */
export function gradeAnswer(response: string, gold: string): Verdict {
  const extracted = extractAnswer(response);
  const verdict = (correct: boolean, reason: string): Verdict => ({ correct, extracted, gold, reason });
  if (extracted === "") return verdict(false, "no answer found");
  const got = parseNumber(extracted);
  const want = parseNumber(gold);
  if (got !== null && want !== null) {
    const equal = Math.abs(got - want) <= RELATIVE_TOLERANCE * Math.abs(want);
    return verdict(equal, equal ? "equal numbers" : "different numbers");
  }
  const plain = (text: string) => text.replaceAll(/\s+/g, "");
  const equal = plain(extracted) !== "" && plain(extracted) === plain(gold);
  return verdict(equal, equal ? "equal text" : got === null ? "not a number" : "the gold answer is not a number");
}
