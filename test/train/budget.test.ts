import { describe, expect, test } from "vitest";
import { Budget, Budgets } from "../../src/train/budget.ts";

describe("a budget", () => {
  const passes = (budget: Budget, count: number) => {
    for (let i = 0; i < count; i++) budget.pass(100);
  };

  test("is all there is until memory runs out, and is written down from then on", () => {
    const budget = new Budget();
    passes(budget, 3);
    expect([budget.size(100), budget.state]).toEqual([100, null]);
    budget.shrink(50);
    expect([budget.size(100), budget.size(30)]).toEqual([50, 30]);
    expect(budget.state).toEqual({ size: 50, patience: 16, left: 16 });
  });

  test("doubles after passes that went well, and waits twice as long the next time", () => {
    const budget = new Budget();
    budget.shrink(50);
    budget.shrink(25);
    passes(budget, 31);
    expect(budget.size(100)).toBe(25);
    passes(budget, 1);
    expect(budget.size(100)).toBe(50);
    budget.shrink(25);
    passes(budget, 63);
    expect(budget.size(100)).toBe(25);
    passes(budget, 1 + 64);
    expect(budget.size(100)).toBe(100);
    passes(budget, 100);
    expect(budget.state).toEqual({ size: 100, patience: 64, left: 64 });
  });

  test("goes on from its state as if it had not been interrupted", () => {
    const whole = new Budgets();
    whole.microBatch.shrink(25);
    passes(whole.microBatch, 10);
    const resumed = new Budgets(JSON.parse(JSON.stringify(whole.state)) as Budgets["state"]);
    for (const budgets of [whole, resumed]) passes(budgets.microBatch, 6);
    expect(resumed.state).toEqual(whole.state);
    expect(resumed.microBatch.size(100)).toBe(50);
    expect(resumed.rollouts.size(100)).toBe(100);
  });
});
