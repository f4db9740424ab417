import fc from "fast-check";
import { expect, test } from "vitest";
import { frontArea, paretoFront } from "../../src/core/pareto.ts";

const point = (tokens: number, accuracy: number) => ({ tokens, accuracy });

test("the front is what nothing beats", () => {
  const points = [point(10, 0.5), point(20, 0.4), point(30, 0.9), point(30, 0.8), point(5, 0.1)];
  expect(paretoFront(points)).toEqual([points[4], points[0], points[2]]);
});

test.each<[string, ReturnType<typeof point>[], number]>([
  ["nothing", [], 0],
  ["a point at the limit", [point(100, 1)], 0],
  ["a point beyond it", [point(150, 1)], 0],
  ["one point", [point(40, 0.5)], 0.5 * 0.6],
  ["two steps", [point(20, 0.5), point(60, 0.9)], 0.5 * 0.4 + 0.9 * 0.4],
  ["a beaten point", [point(20, 0.5), point(60, 0.4)], 0.5 * 0.8],
  ["the same point twice", [point(40, 0.5), point(40, 0.5)], 0.5 * 0.6],
])("the area of %s", (_, points, area) => {
  expect(frontArea(points, 100)).toBeCloseTo(area, 12);
});

const points = fc.array(
  fc.record({ tokens: fc.integer({ min: 1, max: 300 }), accuracy: fc.double({ min: 0, max: 1, noNaN: true }) }),
);
const limits = fc.integer({ min: 1, max: 300 });

test("the area is the mean over budgets of the best accuracy within each", () => {
  fc.assert(
    fc.property(points, limits, (some, limit) => {
      // Tokens are whole here: between two whole budgets the best within does not change.
      const budgets = Array.from({ length: limit }, (_, budget) => budget);
      const best = budgets.map((budget) =>
        Math.max(0, ...some.filter(({ tokens }) => tokens <= budget).map(({ accuracy }) => accuracy)),
      );
      expect(frontArea(some, limit)).toBeCloseTo(best.reduce((a, b) => a + b, 0) / limit, 9);
    }),
  );
});

test("no order, no beaten point and no unit changes the area; another point never lowers it", () => {
  fc.assert(
    fc.property(points, limits, fc.constantFrom(0.5, 2, 4), (some, limit, unit) => {
      const area = frontArea(some, limit);
      const scaled = some.map(({ tokens, accuracy }) => point(tokens * unit, accuracy));
      expect(frontArea(some.toReversed(), limit)).toBeCloseTo(area, 12);
      expect(frontArea(paretoFront(some), limit)).toBeCloseTo(area, 12);
      expect(frontArea(scaled, limit * unit)).toBeCloseTo(area, 12);
      expect(frontArea(some.slice(1), limit)).toBeLessThanOrEqual(area + 1e-12);
      expect(area).toBeLessThanOrEqual(Math.max(0, ...some.map(({ accuracy }) => accuracy)) + 1e-12);
    }),
  );
});

test("no point of the front is beaten, and every other point is beaten or equal to one", () => {
  fc.assert(
    fc.property(points, (some) => {
      const front = paretoFront(some);
      front.slice(1).forEach((p, i) => {
        expect(p.tokens).toBeGreaterThanOrEqual(front[i]!.tokens);
        expect(p.accuracy).toBeGreaterThanOrEqual(front[i]!.accuracy);
      });
      for (const p of some) expect(front.some((q) => q.tokens <= p.tokens && q.accuracy >= p.accuracy)).toBe(true);
    }),
  );
});
