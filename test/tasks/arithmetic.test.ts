import { describe, expect, test } from "vitest";
import { ConfigError, FormatError } from "../../src/errors.ts";
import { arithmeticTask, isHeldOut } from "../../src/tasks/arithmetic.ts";
import { chainValues, parseChain, staysInRange } from "../../src/tasks/arithmetic-chains.ts";

const task = arithmeticTask({ seed: 1, num_train: 5000, num_test: 1000 });

describe("arithmetic problems", () => {
  test("train and test share no problem, under any seed", () => {
    const others = [0, 2, 77].map((seed) => arithmeticTask({ seed, num_train: 5000, num_test: 500 }));
    const test = new Set([task, ...others].flatMap(({ test }) => test.map(({ prompt }) => prompt)));
    for (const { train } of [task, ...others]) for (const { prompt } of train) expect(test.has(prompt)).toBe(false);
    for (const prompt of test) expect(isHeldOut(prompt)).toBe(true);
  });

  test("1,000 distinct test problems, an equal share of each difficulty in any first part", () => {
    expect(new Set(task.test.map(({ prompt }) => prompt)).size).toBe(1000);
    expect(new Set(task.test.map(({ id }) => id)).size).toBe(1000);
    for (const part of [task.test, task.test.slice(0, 500), task.train.slice(0, 50)]) {
      for (const difficulty of [1, 2, 3, 4, 5]) {
        expect(part.filter((problem) => problem.difficulty === difficulty).length).toBe(part.length / 5);
      }
    }
  });

  test("answers are right, every value stays within two digits, no step occurs twice", () => {
    for (const { prompt, answer, difficulty } of [...task.train, ...task.test]) {
      const chain = parseChain(prompt)!;
      expect(chain.steps.length).toBe(difficulty);
      expect(staysInRange(chain.start, chain.steps)).toBe(true);
      expect(String(chainValues(chain).at(-1))).toBe(answer);
      // Independent of chainValues: the sum of the signed numbers.
      const sum = prompt.match(/[+-]?\d+/g)!.reduce((total, number) => total + Number(number), 0);
      expect(String(sum)).toBe(answer);
      expect(new Set(chain.steps.map(({ operator, operand }) => operator + operand)).size).toBe(chain.steps.length);
    }
  });

  test("the seed decides", () => {
    expect(arithmeticTask({ seed: 1, num_train: 5000, num_test: 1000 }).train).toEqual(task.train);
    expect(arithmeticTask({ seed: 2, num_train: 100, num_test: 10 }).train).not.toEqual(task.train.slice(0, 100));
  });

  test("refuses sizes that it cannot make", () => {
    expect(() => arithmeticTask({ num_test: 1001 })).toThrow(ConfigError);
    expect(() => arithmeticTask({ num_train: -1 })).toThrow("num_train: expected a whole number");
    expect(() => arithmeticTask({ quick_stride: 0 })).toThrow("quick_stride: expected a whole number from 1 to 5");
    expect(() => arithmeticTask({ size: 3 })).toThrow("task.options.size: expected one of seed, num_train, num_test");
    expect(() => task.demonstration!({ ...task.train[0]!, prompt: "1*1=?" }, 0)).toThrow(FormatError);
  });
});

describe("judging", () => {
  const problem = { id: "x", prompt: "7+8-5=?", answer: "10", difficulty: 2 };

  test.each([
    ["7+8=15-5=10\n\\boxed{10}", true],
    ["\\boxed{11} no, \\boxed{10}", true],
    ["\\boxed{10} no, \\boxed{11}", false],
    ["\\boxed{010}", true],
    ["\\boxed{}", false],
    ["\\boxed{", false],
    ["", false],
  ])("%j", (response, correct) => {
    expect(task.judge(problem, response).correct).toBe(correct);
  });
});
