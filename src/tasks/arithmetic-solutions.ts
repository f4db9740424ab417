import { withFinal, type Solution } from "../core/solutions.ts";
import { chainValues, formatChain, parseChain } from "./arithmetic-chains.ts";

/** A line of a pass: quick, of last digits, `7+8~5-5~0`, or careful, `7+8~5=15`; a trained model may write `7+8=15` or `7+8-5=10`. */
const LINE = /^\d+(?:[-+=~]\d+)*$/;
/** What is said after a pass; what a quick one came to is said there alone. */
const REMARK = /^I (?:get|got \d+, now) (\d+)/;
/** What a later pass makes of the one before. "I get 10." after the first is no part of it: it begins the doubt that follows. */
const COMPARISON = /^I got \d+, now \d+(?: again)?\./;
const FINAL = /(?:The answer is )?\\boxed\{(\d+)\}\s*$/;

interface Pass {
  /** Behind its last line. */
  end: number;
  work: string[];
  /** null where the lines do not say it. */
  result: string | null;
}

/**
 * The solutions of a response to a sum (arithmetic-chains.ts): its passes, each with the remark that compares it with the one
 * before. A response that is cut behind one goes on with its own box, as a demonstration does that stops there.
 */
export function chainSolutions(response: string, answer: string): Solution[] {
  const final = FINAL.exec(response);
  if (!final) return [];
  const passes: Solution[] = [];
  let pass: Pass | null = null;
  const close = ({ end, work, result }: Pass, said: string) =>
    passes.push({ end, ending: final.index, correct: (result ?? said) === answer, work });
  let start = 0;
  for (const line of response.slice(0, final.index).split("\n")) {
    if (LINE.test(line) && /[=~]/.test(line)) {
      const result = line.includes("=") ? line.slice(line.lastIndexOf("=") + 1) : null;
      const work: string[] = [...(pass?.work ?? []), ...computations(line)];
      pass = { end: start + line.length, work, result };
    } else if (pass) {
      const compared = passes.length > 0 ? COMPARISON.exec(line) : null;
      if (compared) pass.end = start + compared[0].length;
      close(pass, REMARK.exec(line)?.[1] ?? final[1]!);
      pass = null;
    }
    start += line.length + 1;
  }
  if (pass) close(pass, final[1]!);
  const { length } = response;
  return withFinal(passes, { end: length, ending: length, correct: final[1] === answer, work: [] });
}

/** What a line computes: `7+8~5=15` the sum `7+8=15`, and `7+8~5-5~0` what a careful pass does, `7+8=15` and `15-5=10`. */
function computations(line: string): string[] {
  const sums = line.replaceAll(/~\d+/g, "");
  const chain = sums.includes("=") ? null : parseChain(sums);
  if (chain) {
    const values = chainValues(chain);
    const froms = [chain.start, ...values];
    return chain.steps.map((step, i) => `${formatChain({ start: froms[i]!, steps: [step] })}=${values[i]}`);
  }
  const sides = sums.split("=");
  return sides.slice(1).map((side, i) => `${sides[i]}=${/^\d+/.exec(side)![0]}`);
}
