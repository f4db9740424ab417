import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { nodeFiles } from "../../src/runtime/files-node.ts";
import { loadTask } from "../../src/tasks/load.ts";
import type { Task } from "../../src/tasks/task.ts";

const load = (name: string, module: unknown = new Error("no such file")) =>
  loadTask(
    name,
    { options: { num_train: 3, num_test: 2 } },
    {
      files: nodeFiles,
      importModule: () => (module instanceof Error ? Promise.reject(module) : Promise.resolve(module)),
    },
  );

describe("tasks by name", () => {
  test("a known one takes its options", async () => {
    const { name, train, test: heldOut } = await load("arithmetic");
    expect([name, train.length, heldOut.length]).toEqual(["arithmetic", 3, 2]);
  });

  test("a module's default export makes one", async () => {
    const own = { name: "own" } as Task;
    expect(await load("./own.ts", { default: () => Promise.resolve(own) })).toBe(own);
  });

  test.each<[string, unknown, RegExp]>([
    ["arithmatic", undefined, /expected arithmetic, math, gsm8k, math500, aime2024 or a module's path/],
    ["constructor", undefined, /expected arithmetic, math, gsm8k, math500, aime2024 or a module's path/],
    ["data:text/javascript,export default 1", {}, /or a module's path such as/],
    ["http://example.org/task.ts", {}, /or a module's path such as/],
    ["file:///tmp/task.ts", {}, /or a module's path such as/],
    ["./absent.ts", undefined, /cannot load .\/absent.ts: no such file/],
    ["./no-default.ts", {}, /expected its default export to be a function/],
    ["./object.ts", { default: {} }, /expected its default export to be a function/],
  ])("%s is refused", async (name, module, message) => {
    const error: unknown = await load(name, module).then(
      () => null,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).message).toMatch(message);
  });
});
