import { describe, expect, test } from "vitest";
import { lastKept, withFinal, type Solution } from "../../src/core/solutions.ts";

/** Solutions one after another: `+` right, `-` wrong, then what each computes. */
const solutions = (...stretches: string[]): Solution[] =>
  stretches.map((stretch, i) => ({
    end: i + 1,
    ending: 100,
    correct: stretch.startsWith("+"),
    work: stretch.slice(1).split(""),
  }));

describe("lastKept", () => {
  const cases: [
    name: string,
    stretches: string[],
    fcs: number | null,
    reflection: number | null,
    gds: number | null,
  ][] = [
    ["one that is right", ["+a"], 1, null, 1],
    ["a check by the same computations", ["+a", "+a"], 1, 2, 1],
    ["a check by others", ["+a", "+b", "+ab"], 1, 2, 2],
    ["a check that computes nothing", ["+a", "+", "+b"], 1, 2, 1],
    ["a mistake that is found", ["-a", "+b", "+b"], 2, 3, 2],
    ["a wrong check between two right ones", ["+a", "-b", "+a"], 1, 3, 1],
    ["a mistake made twice", ["-a", "-a", "+b"], 3, null, null],
    ["none that is right", ["-a"], null, null, null],
    ["none", [], null, null, null],
  ];
  test.each(cases)("%s", (_name, stretches, ...ends) => {
    const all = solutions(...stretches);
    expect((["fcs", "fcs_reflection", "gds"] as const).map((cut) => lastKept(cut, all)?.end ?? null)).toEqual(ends);
  });
});

test("a final part is a solution where the right answer first comes in it, or where it computes something new", () => {
  const [final] = solutions("+b");
  const [statement] = solutions("+");
  expect(withFinal(solutions("-a"), statement!)).toHaveLength(2);
  expect(withFinal(solutions("+a"), statement!)).toHaveLength(1);
  expect(withFinal(solutions("+a"), final!)).toHaveLength(2);
  expect(withFinal(solutions("+ab"), final!)).toHaveLength(1);
});
