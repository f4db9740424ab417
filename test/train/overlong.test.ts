import { expect, test } from "vitest";
import { leaveOutOverlong } from "../../src/train/overlong.ts";
import { toyTask, toyTokenizer } from "../helpers/toy.ts";

test("problems whose prompts fill the context are left out and named, and the task is the same otherwise", () => {
  const task = toyTask();
  const long = { ...task.train[1]!, id: "long", prompt: "say red ".repeat(8).trim() };
  const mixed = { ...task, train: [...task.train, long], test: [long] };
  const at = (limit: number) => leaveOutOverlong(mixed, toyTokenizer(), limit);
  expect(at(17).overlong).toEqual([]);
  expect(at(16).overlong).toEqual([
    { id: "long", tokens: 16 },
    { id: "long", tokens: 16 },
  ]);
  const { task: fitting } = at(16);
  expect(fitting.train).toEqual(task.train);
  expect(fitting.test).toEqual([]);
  expect(fitting.name).toBe("toy");
  expect(fitting.judge(task.train[0]!, "red")).toEqual(task.judge(task.train[0]!, "red"));
});
