import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { groupNormalisedAdvantages, rlooAdvantages } from "../../src/core/advantage.ts";
import type { Outcome } from "../../src/core/group.ts";
import { lengthRewards } from "../../src/core/length-rewards/sigmoid.ts";

const stop = (length: number, correct: boolean): Outcome => ({ length, correct, finishReason: "stop" });

describe("proposition 4.3: on a tabular policy the optimum keeps accuracy", () => {
  const ANSWERS = [stop(90, true), stop(40, true), stop(10, false), stop(5, false), stop(60, true)];
  const POPULATION = 2000;

  /** Natural policy gradient with the population's own rewards, taken exactly; returns the probabilities before each step. */
  function ascend(alpha: number, logits: number[], steps: number): number[][] {
    const history: number[][] = [];
    for (let step = 0; step < steps; step++) {
      const weights = logits.map(Math.exp);
      const total = weights.reduce((a, b) => a + b, 0);
      const p = weights.map((weight) => weight / total);
      history.push(p);
      // Statistics are those of a population drawn from the policy: each answer as often as it is probable, and at least once.
      const population = ANSWERS.flatMap((answer, i) =>
        Array<Outcome>(Math.max(1, Math.round(p[i]! * POPULATION))).fill(answer),
      );
      const rewards = lengthRewards(population, alpha);
      const reward = ANSWERS.map((answer) => rewards[population.indexOf(answer)]!);
      const value = p.reduce((sum, q, i) => sum + q * reward[i]!, 0);
      logits = logits.map((logit, i) => logit + 0.5 * (reward[i]! - value));
    }
    return history;
  }

  const accuracy = (p: readonly number[]) => p.reduce((sum, q, i) => sum + (ANSWERS[i]!.correct ? q : 0), 0);

  const START = [0, -2, 3, 1, -1];

  test.each([0.05, 0.4, 0.9])("accuracy only rises, to 1, and the shortest correct answer wins (alpha %d)", (alpha) => {
    const history = ascend(alpha, START, 1500);
    expect(accuracy(history[0]!)).toBeLessThan(0.1);
    history.slice(1).forEach((p, i) => expect(accuracy(p)).toBeGreaterThan(accuracy(history[i]!) - 1e-12));
    expect(accuracy(history.at(-1)!)).toBeGreaterThan(0.999999);
    expect(history.at(-1)![1]).toBeGreaterThan(0.99);
  });

  test("without a length penalty correct answers keep their proportions", () => {
    const [first, last] = [ascend(0, START, 1)[0]!, ascend(0, START, 300).at(-1)!];
    expect(accuracy(last)).toBeGreaterThan(0.999999);
    expect(last[1]! / last[0]!).toBeCloseTo(first[1]! / first[0]!, 12);
    expect(last[4]! / last[0]!).toBeCloseTo(first[4]! / first[0]!, 12);
  });
});

test("section 5.4: normalised, the best of uniformly spread rewards has advantage sqrt(3), whatever alpha is", () => {
  for (const alpha of [0.01, 0.1, 0.4, 1]) {
    const rewards = Array.from({ length: 20001 }, (_, i) => 1 - (alpha * i) / 20000);
    expect(groupNormalisedAdvantages(rewards)[0]).toBeCloseTo(Math.sqrt(3), 3);
    expect(rlooAdvantages(rewards)[0]).toBeCloseTo(alpha / 2, 3);
  }
});

test("rewards lie within [1 - alpha, 1] for correct responses and are 0 for others", () => {
  const completion = fc.record({
    length: fc.integer({ min: 1, max: 40000 }),
    correct: fc.boolean(),
    finishReason: fc.constantFrom("stop" as const, "length" as const),
  });
  fc.assert(
    fc.property(
      fc.array(completion, { minLength: 1, maxLength: 16 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (group, alpha) => {
        lengthRewards(group, alpha).forEach((reward, i) => {
          if (!group[i]!.correct || group[i]!.finishReason === "length") expect(reward).toBe(0);
          else {
            expect(reward).toBeGreaterThanOrEqual(1 - alpha);
            expect(reward).toBeLessThanOrEqual(1);
          }
        });
      },
    ),
  );
});
