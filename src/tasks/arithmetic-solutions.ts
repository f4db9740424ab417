import { withFinal, type Solution } from "../core/solutions.ts";

/** A line of a pass: `7+8=15`, `7+8-5=10`, `7+8=15-5=10`. */
const LINE = /^\d+(?:[-+=]\d+)*$/;
/** What a later pass makes of the one before. "I get 10." after the first is no part of it: it begins the doubt that follows. */
const COMPARISON = /^I got \d+, now \d+(?: again)?\./;
const FINAL = /(?:The answer is )?\\boxed\{(\d+)\}\s*$/;

/**
 * The solutions of a response to a sum (arithmetic-chains.ts): its passes, each with the remark that compares it with the one
 * before. A response that is cut behind one goes on with its own box, as a demonstration does that stops there.
 */
export function chainSolutions(response: string, answer: string): Solution[] {
  const final = FINAL.exec(response);
  if (!final) return [];
  const passes: Solution[] = [];
  let pass: Solution | null = null;
  let start = 0;
  for (const line of response.slice(0, final.index).split("\n")) {
    if (LINE.test(line) && line.includes("=")) {
      const work: string[] = [...(pass?.work ?? []), ...computations(line)];
      const correct = line.slice(line.lastIndexOf("=") + 1) === answer;
      pass = { end: start + line.length, ending: final.index, correct, work };
    } else if (pass) {
      const compared = passes.length > 0 ? COMPARISON.exec(line) : null;
      passes.push(compared ? { ...pass, end: start + compared[0].length } : pass);
      pass = null;
    }
    start += line.length + 1;
  }
  if (pass) passes.push(pass);
  const { length } = response;
  return withFinal(passes, { end: length, ending: length, correct: final[1] === answer, work: [] });
}

/** `7+8=15-5=10` as `7+8=15` and `15-5=10`: a pass on one line computes what one on several lines does. */
function computations(line: string): string[] {
  const sides = line.split("=");
  return sides.slice(1).map((side, i) => `${sides[i]}=${/^\d+/.exec(side)![0]}`);
}
