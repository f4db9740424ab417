import fc from "fast-check";
import { expect, test } from "vitest";
import { compareAnswers, grade, GRADERS } from "../../src/grader/grade.ts";
import { hostileText } from "../helpers/hostile.ts";

test.each(GRADERS)("%s gives a verdict on whatever it is handed", (grader) => {
  fc.assert(
    fc.property(hostileText, hostileText, (a, b) => {
      const { verdict, extracted, reason } = grade(a, b, { grader });
      expect([typeof verdict, typeof extracted, typeof reason]).toEqual(["boolean", "string", "string"]);
      expect(typeof compareAnswers(a, b, grader).verdict).toBe("boolean");
    }),
    { numRuns: 400, seed: 1 },
  );
});
