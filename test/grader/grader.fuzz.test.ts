import fc from "fast-check";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { compareAnswers, grade, gradeMarked, GRADERS } from "../../src/grader/grade.ts";
import { parseNumber } from "../../src/grader/number.ts";
import { tidy } from "../../src/grader/strict/spelling.ts";
import { fuzzInputs } from "../helpers/fuzz.ts";
import { hostileText } from "../helpers/hostile.ts";

/** Inputs of the long mode; a few where none are asked for. */
const INPUTS = fuzzInputs("grader", 600);
const SLOWEST_MS = 1000;

/** Answers of every kind, to be cut and put together. */
const answers = readFileSync(new URL("pairs.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .flatMap((line) =>
    Object.values(JSON.parse(line) as Record<string, unknown>).filter((text) => typeof text === "string"),
  );

const answer = fc.constantFrom(...answers);
/** Parts of answers in another order, some of them many times over. */
const spliced = fc
  .array(fc.tuple(answer, fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })), {
    minLength: 1,
    maxLength: 5,
  })
  .map((parts) =>
    parts.map(([text, a, b]) => text.slice(Math.min(a, b) * text.length, Math.max(a, b) * text.length + 1)).join(""),
  );
const repeated = fc
  .tuple(spliced, fc.integer({ min: 2, max: 400 }), answer)
  .map(([part, n, end]) => part.repeat(n) + end);
const nested = fc
  .tuple(
    fc.constantFrom("\\frac{1}{", "\\sqrt{", "(", "\\{", "|", "x^{", "\\sin ", "-", "\\pm ", "\\lfloor ", "2^"),
    fc.integer({ min: 1, max: 300 }),
    answer,
  )
  .map(([open, n, inner]) => open.repeat(n) + inner);
const edited = fc
  .tuple(answer, fc.double({ min: 0, max: 1, noNaN: true }), fc.string({ maxLength: 3, unit: "binary" }))
  .map(([text, at, by]) => text.slice(0, at * text.length) + by + text.slice(at * text.length + 1));
const text = fc.oneof(
  { weight: 4, arbitrary: answer },
  { weight: 6, arbitrary: spliced },
  { weight: 4, arbitrary: edited },
  { weight: 1, arbitrary: repeated },
  { weight: 1, arbitrary: nested },
  { weight: 4, arbitrary: hostileText },
);

test(
  `${INPUTS} pairs of texts: a verdict with its reason in under a second of the processor's time, either way round`,
  { timeout: 120_000 + 50 * INPUTS },
  () => {
    let [slowest, of] = [0, ""];
    fc.assert(
      fc.property(text, text, (a, b) => {
        const before = process.cpuUsage();
        const verdicts = GRADERS.flatMap((grader) => [
          grade(a, b, { grader }),
          compareAnswers(a, b, grader),
          { verdict: gradeMarked(a, b, grader).correct, reason: gradeMarked(a, b, grader).reason },
        ]);
        const back = compareAnswers(b, a).verdict;
        const own = compareAnswers(a, a).verdict;
        parseNumber(a);
        const { user, system } = process.cpuUsage(before);
        const time = (user + system) / 1000;
        if (time > slowest) [slowest, of] = [time, JSON.stringify([a.slice(0, 200), b.slice(0, 200)])];

        for (const { verdict, reason } of verdicts) {
          expect(typeof verdict).toBe("boolean");
          expect(reason).not.toBe("");
        }
        expect(back).toBe(verdicts[1]!.verdict);
        expect(own).toBe(a.length <= 2000 && tidy(a) !== "");
        expect(time, of).toBeLessThan(SLOWEST_MS);
      }),
      { numRuns: INPUTS, seed: 12 },
    );
    if (process.env["PITH_FUZZ"] !== undefined) {
      const peak = process.resourceUsage().maxRSS / 1024;
      process.stdout.write(
        `grader: ${INPUTS} pairs, slowest ${slowest.toFixed(0)} ms (${of.length > 200 ? `${of.slice(0, 200)}...` : of}), peak memory ${peak.toFixed(0)} MiB\n`,
      );
    }
  },
);
